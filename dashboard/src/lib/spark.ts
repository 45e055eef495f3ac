// A sparkline on a canvas: one path filled, one drawn.

export type Look = { width: number; height: number; top?: number; line: string; fill: string };

/** The value at the upper edge of a plot: the highest, and never 0, so that a flat line lies at the bottom. */
export function ceiling(values: ArrayLike<number>): number {
  let top = 0;
  for (let i = 0; i < values.length; i++) if (values[i] > top) top = values[i];
  return top > 0 ? top : 1;
}

export function draw(canvas: HTMLCanvasElement, values: ArrayLike<number>, look: Look): void {
  const ratio = window.devicePixelRatio || 1;
  const context = canvas.getContext('2d');
  if (context === null) return;
  const { width, height } = look;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  if (values.length < 2) return;
  const top = look.top ?? ceiling(values);
  const step = width / (values.length - 1);
  const y = (value: number): number => height - 1 - Math.min(1, Math.max(0, value / top)) * (height - 3);
  context.beginPath();
  context.moveTo(0, y(values[0]));
  for (let i = 1; i < values.length; i++) context.lineTo(i * step, y(values[i]));
  context.strokeStyle = look.line;
  context.lineWidth = 1.25;
  context.lineJoin = 'round';
  context.stroke();
  context.lineTo(width, height);
  context.lineTo(0, height);
  context.closePath();
  context.fillStyle = look.fill;
  context.fill();
}
