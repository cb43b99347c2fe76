#!/bin/sh
# Makes the secrets of compose.yaml that do not exist yet. Only you can enter their folder. The files themselves are
# readable by everyone, because each container reads them as a user that does not exist on this machine.
set -eu
umask 077
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
chmod 0700 "$folder"

make() {  # NAME CONTENT
    if [ ! -e "$folder/$1" ]; then
        printf '%s' "$2" > "$folder/.$1"
        chmod 0444 "$folder/.$1"
        mv "$folder/.$1" "$folder/$1"
        echo "made $folder/$1"
    fi
}

random() {  # 256 bits in hexadecimal
    od -A n -N 32 -t x1 /dev/urandom | tr -d ' \n'
}

for name in database_password admin_password session_key s3_access_key s3_secret_key; do
    make "$name" "$(random)"
done
make s3_identities "{\"identities\": [{\"name\": \"mlflow\", \"actions\": [\"Read:mlflow\", \"Write:mlflow\", \"List:mlflow\", \"Tagging:mlflow\"], \"credentials\": [{\"accessKey\": \"$(cat "$folder/s3_access_key")\", \"secretKey\": \"$(cat "$folder/s3_secret_key")\"}]}]}"
