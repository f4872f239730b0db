// Two pads: where the eyes look, and where the lamp stands. Points are in [-1, 1], y up.

class Pad {
  point = [0, 0];

  // moving(x, y): while it is dragged; moved(x, y): when it rests
  constructor(element, round, moving, moved) {
    this.element = element;
    this.round = round;
    this.dot = element.querySelector("i");
    const drag = (event) => {
      const box = element.getBoundingClientRect();
      this.put((2 * (event.clientX - box.left)) / box.width - 1, 1 - (2 * (event.clientY - box.top)) / box.height);
      moving(...this.point);
    };
    element.addEventListener("pointerdown", (event) => { element.setPointerCapture(event.pointerId); drag(event); });
    element.addEventListener("pointermove", (event) => element.hasPointerCapture(event.pointerId) && drag(event));
    element.addEventListener("pointerup", () => moved(...this.point));
    element.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
      if (!step) return;
      event.preventDefault();
      this.put(this.point[0] + step[0], this.point[1] + step[1]);
      moving(...this.point);
    });
    element.addEventListener("keyup", (event) => event.key.startsWith("Arrow") && moved(...this.point));
  }

  put(x, y) {
    const far = this.round ? Math.max(1, Math.hypot(x, y)) : 1;
    this.point = [Math.max(-1, Math.min(1, x / far)), Math.max(-1, Math.min(1, y / far))];
    this.dot.style.left = `${50 + 50 * this.point[0]}%`;
    this.dot.style.top = `${50 - 50 * this.point[1]}%`;
  }
}

export function gazePad(element, ranges, moving, moved) {
  const values = (x, y) => ({ gaze_yaw: round(x * ranges[0]), gaze_pitch: round(y * ranges[1]) });
  const pad = new Pad(element, false, (x, y) => moving({ controls: values(x, y) }), (x, y) => moved({ controls: values(x, y) }));
  return (shown) => pad.put((shown.gaze_yaw ?? 0) / ranges[0], (shown.gaze_pitch ?? 0) / ranges[1]);
}

// The lamp on the half sphere before the face.
export function lampPad(element, moving, moved) {
  const direction = (x, y) => [x, y, Math.max(0.15, Math.sqrt(Math.max(0, 1 - x * x - y * y)))];
  new Pad(element, true, (x, y) => moving({ light: direction(x, y) }), (x, y) => moved({ light: direction(x, y) }));
}

const round = (value) => Math.round(value * 100) / 100;
