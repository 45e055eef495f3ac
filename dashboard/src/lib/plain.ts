// A line of an app without what a terminal would make of it.

/** CSI, OSC and other escape sequences (ECMA-48), and the control characters that are left. */
const ESCAPES =
  /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])|[\x00-\x08\x0b-\x1f\x7f]/g;

export function plain(line: string): string {
  return line.replace(ESCAPES, '');
}
