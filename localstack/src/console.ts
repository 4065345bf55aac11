import pc from 'picocolors';

export type Console = {
  step(line: string): void;
  warn(line: string): void;
  fail(line: string): void;
  ready(lines: string[]): void;
};

/** Warnings shown in each span of time; the rest is in the log files. */
const WARNINGS = 20;
const SPAN_MS = 10_000;

/** What people see. Colours, where it is a terminal, are picocolors' affair; the line `ready` has none, for scripts read it. */
export function createConsole(
  began: number,
  print: (line: string) => void = (line) => process.stdout.write(`${line}\n`),
): Console {
  let spanEnd = 0;
  let shown = 0;
  let held = 0;
  const seconds = () => pc.dim(`${((Date.now() - began) / 1000).toFixed(1).padStart(5)} s `);
  return {
    step: (line) => print(`${seconds()}${line}`),
    warn(line) {
      const now = Date.now();
      if (now > spanEnd) {
        if (held > 0) print(`${seconds()}${pc.yellow(`${held} more warnings are in the log files`)}`);
        spanEnd = now + SPAN_MS;
        shown = 0;
        held = 0;
      }
      if (shown++ < WARNINGS) print(`${seconds()}${pc.yellow(line)}`);
      else held++;
    },
    fail: (line) => process.stderr.write(`${pc.red(line)}\n`),
    ready: (lines) => {
      for (const line of lines) print(line);
    },
  };
}
