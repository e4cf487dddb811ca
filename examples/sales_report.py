"""Submit a report over a large CSV file: ``python examples/sales_report.py``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from niyanta import Client
from niyanta.examples.samples import make_csv


def main() -> None:
    sales = Path(tempfile.mkdtemp(prefix="niyanta-example-")) / "sales.csv"
    print("making a CSV file of a million rows …")
    make_csv(sales)
    with Client() as client:
        workload = client.workloads.submit(
            workload_type="report_generation",
            input_params={
                "csv_url": str(sales),
                "group_by": "region",
                "value_columns": ["amount", "quantity"],
                "date_column": "date",
                "title": "Sales by region",
            },
        )
        print(f"submitted {workload.id}")
        result = client.workloads.wait_for_completion(workload.id).result_data or {}
    print(f"{result['rows']:,} rows, {result['bad_rows']} bad ones; open {result['output_url']}")
    for reason, count in result["bad_reasons"].items():
        print(f"  {count} left out: {reason}")


if __name__ == "__main__":
    main()
