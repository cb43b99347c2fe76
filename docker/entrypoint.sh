#!/bin/sh
# Secrets are files. For a program that reads one from its environment, set NAME from the file that NAME_FILE names.
set -eu
umask 077

for name in AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY MLFLOW_AUTH_ADMIN_PASSWORD MLFLOW_FLASK_SERVER_SECRET_KEY \
    MLFLOW_TRACKING_PASSWORD PGPASSWORD; do
    file=$(printenv "${name}_FILE" || true)
    if [ -z "$file" ]; then
        continue
    fi
    if [ ! -r "$file" ] || [ ! -s "$file" ]; then
        echo "error: ${name}_FILE=$file is empty or cannot be read; docker/secrets.sh makes it" >&2
        exit 2
    fi
    export "$name=$(cat "$file")"
    unset "${name}_FILE"
done
exec "$@"
