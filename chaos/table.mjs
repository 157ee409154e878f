// The table at the end of a run, and how a distribution is written in one line.

/** `median 0.61, p90 0.72, most 0.80` */
export function distribution(values, show = (value) => value.toFixed(0)) {
  if (values.length === 0) return 'none';
  const [median, p90, most] = [0.5, 0.9, 1].map((share) => show(percentile(values, share)));
  return `median ${median}, p90 ${p90}, most ${most}`;
}

export function percentile(values, share) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/** Seconds from the start of a process to the first 200 of `/health/ready`. */
const READY_WITHIN = 2;

/**
 * How long servers took until they were ready again. What they waited for a core is shown and does
 * not count: a busy machine is not a fault of theirs.
 * @param starts each with the seconds `took`, and of them `kept`
 */
export function readyAgain(kind, starts) {
  const show = (seconds) => seconds.toFixed(2);
  const own = starts.map(({ took, kept }) => took - kept);
  const most = Math.max(...own);
  return {
    what: `  seconds until ready again, ${kind}`,
    measured:
      `${distribution(own, show)}; ` +
      `with the waits for a core ${distribution(
        starts.map(({ took }) => took),
        show,
      )}`,
    bound: `<= ${READY_WITHIN}`,
    faults: most <= READY_WITHIN ? [] : [`it took up to ${show(most)} s`],
  };
}

const COLUMNS = { scenario: 'scenario', what: 'what', measured: 'measured', bound: 'bound' };
const FAULTS_SHOWN = 5;

/** @param rows each with its `faults`: texts that say how the bound was missed */
export function print(rows) {
  const shown = rows.map((row) => ({ ...row, verdict: row.faults.length === 0 ? 'ok' : 'MISSED' }));
  const names = Object.keys(COLUMNS);
  const widths = names.map((name) =>
    Math.max(...[COLUMNS, ...rows].map((row) => row[name].length)),
  );
  const line = (row, end) =>
    [...names.map((name, i) => row[name].padEnd(widths[i])), end].join('  ');
  console.log(line(COLUMNS, '').trimEnd());
  console.log(widths.map((width) => '-'.repeat(width)).join('  '));
  for (const row of shown) {
    console.log(line(row, row.verdict));
    for (const fault of row.faults.slice(0, FAULTS_SHOWN)) console.log(`    ${fault}`);
    const more = row.faults.length - FAULTS_SHOWN;
    if (more > 0) console.log(`    and ${more} more`);
  }
}
