// Tables for a terminal and for Markdown, of rows that are objects with the same keys.

/** Columns of equal width. */
export function plain(rows) {
  const cells = cellsOf(rows);
  const widths = cells[0].map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  return cells.map((row) => row.map((cell, column) => cell.padEnd(widths[column])).join("  ").trimEnd()).join("\n");
}

export function markdown(rows) {
  const [head, ...body] = cellsOf(rows);
  const rule = head.map((_, column) => (column === 0 ? "---" : "--:"));
  return [head, rule, ...body].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

function cellsOf(rows) {
  const keys = Object.keys(rows[0]);
  return [keys, ...rows.map((row) => keys.map((key) => String(row[key])))];
}
