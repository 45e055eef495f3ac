// Times of lines: short in the rows, whole where there is room.
const two = (n: number): string => String(n).padStart(2, '0');

/** A date whose UTC parts are those of the wanted zone. */
function shifted(ms: number, utc: boolean): Date {
  return new Date(utc ? ms : ms - new Date(ms).getTimezoneOffset() * 60_000);
}

/** `14:03:59.123`, with the day before it where that is not today. */
export function timeText(ms: number, utc: boolean, now = Date.now()): string {
  if (Number.isNaN(ms)) return '–';
  const date = shifted(ms, utc);
  const clock = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}.${String(date.getUTCMilliseconds()).padStart(3, '0')}`;
  const today = shifted(now, utc).toISOString().slice(0, 10);
  const day = date.toISOString().slice(0, 10);
  return day === today ? clock : `${day.slice(5)} ${clock}`;
}

/** `2024-01-12 14:03:59.123`, and the zone. */
export function fullTime(ms: number, utc: boolean): string {
  if (Number.isNaN(ms)) return '–';
  const date = shifted(ms, utc).toISOString();
  const offset = -new Date(ms).getTimezoneOffset();
  const sign = offset < 0 ? '-' : '+';
  const zone = utc
    ? 'UTC'
    : `UTC${sign}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  return `${date.slice(0, 10)} ${date.slice(11, 23)} ${zone}`;
}
