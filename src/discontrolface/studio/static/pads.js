// Two pads: where the eyes look, and where the lamp stands. Points are in [-1, 1], y up.

class Pad {
  point = [0, 0];
  held = false; // it is being dragged: a state that comes meanwhile does not move it

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
    element.addEventListener("pointerdown", (event) => { this.held = true; element.setPointerCapture(event.pointerId); drag(event); });
    element.addEventListener("pointermove", (event) => element.hasPointerCapture(event.pointerId) && drag(event));
    element.addEventListener("pointerup", () => moved(...this.point));
    element.addEventListener("lostpointercapture", () => { this.held = false; });
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
  return (shown) => pad.held || pad.put((shown.gaze_yaw ?? 0) / ranges[0], (shown.gaze_pitch ?? 0) / ranges[1]);
}

// The lamp on the half sphere before the face, on a ball in the light that is there. Returns what shows a state's light.
export function lampPad(element, text, moving, moved) {
  const direction = (x, y) => [x, y, Math.max(0.15, Math.sqrt(Math.max(0, 1 - x * x - y * y)))];
  const pad = new Pad(element, true, (x, y) => moving({ light: direction(x, y) }), (x, y) => moved({ light: direction(x, y) }));
  return (light) => {
    if (pad.held) return;
    const [x, y, z] = light.direction;
    const far = z > 0 ? 1 : 1 / Math.max(Math.hypot(x, y), 1e-6); // a lamp behind the head: on the border
    pad.put(x * far, y * far);
    pad.dot.style.opacity = 0.35 + 0.65 * Math.min(1, 2 * light.strength);
    text.textContent = `${where(x, y, z)}, ${Math.round(100 * light.strength)} %`;
    element.setAttribute("aria-valuetext", text.textContent);
    ball(element.querySelector("canvas"), light.sphere);
  };
}

// In words where a direction comes from, as the picture shows it.
function where(x, y, z) {
  const height = y > 0.3 ? "above" : y < -0.3 ? "below" : "";
  const side = x > 0.3 ? "right" : x < -0.3 ? "left" : "";
  return (height && side ? `${height} ${side}` : height || side || "front") + (z < -0.1 ? ", behind" : "");
}

// A grey ball under the light: rows of nine factors for red, green, blue.
function ball(canvas, rows) {
  const side = canvas.width;
  const context = canvas.getContext("2d");
  const picture = context.createImageData(side, side);
  const level = 150 / Math.max(0.05, (rows[0][0] + rows[1][0] + rows[2][0]) / 3 + (2 / 9) * (rows[0][3] + rows[1][3] + rows[2][3]));
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const [x, y] = [(2 * (column + 0.5)) / side - 1, 1 - (2 * (row + 0.5)) / side];
      const z = Math.sqrt(Math.max(0, 1 - x * x - y * y));
      const values = [1, x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1];
      const at = 4 * (row * side + column);
      for (let colour = 0; colour < 3; colour++) picture.data[at + colour] = level * rows[colour].reduce((sum, f, k) => sum + f * values[k], 0);
      picture.data[at + 3] = 255;
    }
  }
  context.putImageData(picture, 0, 0);
}

const round = (value) => Math.round(value * 100) / 100;
