// What is drawn: pictures with their detections, and lines over time.

const COLOURS = ["#2dd4bf", "#fbbf24", "#60a5fa", "#f472b6", "#a3e635", "#fb923c", "#c084fc", "#f87171"];

function colour(label) {
  let sum = 0;
  for (const char of label) sum = (sum * 31 + char.codePointAt(0)) >>> 0;
  return COLOURS[sum % COLOURS.length];
}

// The boxes in a frame's metadata, in its pixels: { label, x, y, width, height, rotation }.
export function boxes(meta) {
  const found = [];
  for (const { findings = [], relations = [] } of meta.detections ?? []) {
    const labels = new Map();
    findings.forEach((finding, at) => {
      let text = null;
      if (finding?.labels) text = finding.labels.map((label) => named(label)).join(", ");
      else if (finding?.track !== undefined) text = `#${finding.track}`;
      if (text === null) return;
      const own = relations.filter((one) => one.from === at || one.to === at);
      for (const { from, to } of own) {
        const other = from === at ? to : from;
        labels.set(other, [...(labels.get(other) ?? []), text]);
      }
    });
    findings.forEach((finding, at) => {
      if (finding?.width === undefined) return;
      const score = finding.score > 0 ? ` ${Math.round(finding.score * 100)} %` : "";
      const more = (labels.get(at) ?? []).map((label) => ` ${label}`).join("");
      found.push({ ...finding, label: finding.label ?? "", text: `${finding.label ?? ""}${score}${more}`.trim() });
    });
  }
  for (const region of meta.regions ?? []) {
    if (region.width === undefined) continue;
    const known = found.some((one) => one.x === region.x && one.y === region.y && one.width === region.width && one.height === region.height);
    if (!known) found.push({ ...region, label: region.kind ?? "", text: region.kind ?? "" });
  }
  return found;
}

function named(label) {
  if (typeof label === "string") return label;
  const [name, score] = Array.isArray(label) ? label : [label.label, label.score];
  return score > 0 ? `${name} ${Math.round(score * 100)} %` : `${name}`;
}

// The picture, and the boxes over it.
export function picture(canvas, bitmap, about) {
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const found = boxes(about.meta);
  if (!found.length) return found;
  // Lines and letters are as large as they look, not as the picture has pixels.
  const shown = canvas.clientWidth || canvas.width;
  const unit = Math.max(canvas.width / shown, 0.5);
  const scale = bitmap.width / (about.width || bitmap.width);
  context.lineWidth = 2 * unit;
  context.font = `600 ${12 * unit}px system-ui, sans-serif`;
  context.textBaseline = "bottom";
  for (const box of found) {
    const [x, y, width, height] = [box.x, box.y, box.width, box.height].map((value) => value * scale);
    context.save();
    context.translate(x + width / 2, y + height / 2);
    context.rotate(box.rotation ?? 0);
    context.strokeStyle = colour(box.label);
    context.strokeRect(-width / 2, -height / 2, width, height);
    if (box.text) {
      const tag = context.measureText(box.text).width + 8 * unit;
      const inside = y < 18 * unit;
      const top = -height / 2 - context.lineWidth / 2 + (inside ? 18 * unit : 0);
      context.fillStyle = colour(box.label);
      context.fillRect(-width / 2 - context.lineWidth / 2, top - 17 * unit, tag, 17 * unit);
      context.fillStyle = "#0b0f12";
      context.fillText(box.text, -width / 2 + 3 * unit, top - 1.5 * unit);
    }
    context.restore();
  }
  return found;
}

// A line over the newest looks, the newest at the right, from 0 up to the highest value.
export function line(canvas, values, room, colourName) {
  const density = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * density), Math.round(canvas.clientHeight * density)];
  if (!width || !height) return;
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  const ink = getComputedStyle(canvas).getPropertyValue("color");
  context.strokeStyle = ink;
  context.fillStyle = ink;
  const highest = Math.max(...values, 1e-9) * 1.1;
  const at = (value, index) => [
    width - ((values.length - 1 - index) * width) / (room - 1),
    height - density - (value / highest) * (height - 3 * density),
  ];
  context.lineWidth = 1.5 * density;
  context.lineJoin = "round";
  context.beginPath();
  values.forEach((value, index) => context.lineTo(...at(value, index)));
  context.stroke();
  if (!values.length) return;
  context.lineTo(width, height);
  context.lineTo(at(0, 0)[0], height);
  context.globalAlpha = 0.12;
  context.fill();
  context.globalAlpha = 1;
}

// JSON with a line for each value. It is not parsed: numbers beyond 2^53, as times are, would come out as others.
export function pretty(json) {
  let text = "";
  let depth = 0;
  const token = /"(?:[^"\\]|\\.)*"|\[[^[\]{}"]*\]|\{\}|[[\]{},:]|[^[\]{},:"]+/g;
  for (const [part] of json.matchAll(token)) {
    if (part === "{" || part === "[") text += `${part}\n${"  ".repeat((depth += 1))}`;
    else if (part === "}" || part === "]") text += `\n${"  ".repeat((depth -= 1))}${part}`;
    else if (part === ",") text += `,\n${"  ".repeat(depth)}`;
    else if (part === ":") text += ": ";
    else text += part.startsWith("[") ? part.replaceAll(",", ", ") : part;
  }
  return text;
}
