// Medians, and the table that the run prints.

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** `0.93 (0.91 to 0.96)`: the median, and between what it varied from round to round. */
export function spread(values, show) {
  const [least, most] = [Math.min(...values), Math.max(...values)].map(show);
  return `${show(median(values))} (${least} to ${most})`;
}

export const ratio = (value) => value.toFixed(2);

/** @param rows [figure, measured, target, whether it is reached (undefined without a target)] */
export function print(rows) {
  const cells = rows.map(([figure, measured, target = '', reached]) => [
    figure,
    measured,
    target,
    reached === undefined ? '' : reached ? 'ok' : 'MISSED',
  ]);
  const table = [['figure', 'measured (least to most)', 'target', ''], ...cells];
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  for (const [index, row] of table.entries()) {
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    );
    if (index === 0) console.log(widths.map((width) => '-'.repeat(width)).join('  '));
  }
}
