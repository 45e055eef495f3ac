/** A colour of its own for each instance: the same wherever it is shown. */
export function hueOf(instance: string): number {
  let hash = 2166136261;
  for (let i = 0; i < instance.length; i++) hash = Math.imul(hash ^ instance.charCodeAt(i), 16777619);
  // Steps of the golden angle lie apart even where hashes do not.
  return Math.round(((hash >>> 8) * 137.508) % 360);
}
