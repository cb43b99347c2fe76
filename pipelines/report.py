"""Draw the figures, write the report, bring missing runs to MLflow: python pipelines/report.py."""

from piecewise.stages.run import run

if __name__ == "__main__":
    raise SystemExit(run("report"))
