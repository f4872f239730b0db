// Where photos come from: a file, a drop, the clipboard, the webcam; and the faces that were found in one.

const $ = (id) => document.getElementById(id);

// opened(blob): a photo was given
export function photoSources(opened, say) {
  $("drop").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => { if ($("file").files[0]) opened($("file").files[0]); $("file").value = ""; });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    const file = event.dataTransfer.files[0];
    if (file) opened(file);
    else say("drop a photo's file; addresses of the web are not fetched");
  });
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files][0];
    if (file) opened(file);
  });
  $("webcam").addEventListener("click", () => webcam(opened, say));
}

async function webcam(opened, say) {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } });
  } catch {
    say("the browser gives no webcam; it may need a permission, or https");
    return;
  }
  const dialog = document.createElement("dialog");
  dialog.className = "webcam";
  dialog.innerHTML = '<video autoplay playsinline muted></video><p><button type="button">Take the photo</button> <button type="button">Close</button></p>';
  const video = dialog.querySelector("video");
  const [take, close] = dialog.querySelectorAll("button");
  video.srcObject = stream;
  close.addEventListener("click", () => dialog.close());
  take.addEventListener("click", () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => { dialog.close(); opened(blob); }, "image/jpeg", 0.95);
  });
  dialog.addEventListener("close", () => { stream.getTracks().forEach((track) => track.stop()); dialog.remove(); });
  document.body.append(dialog);
  dialog.showModal();
}

// The photo with a numbered button on every face. chosen: its number, or null; choose(k)
export async function showFaces(element, picture, boxes, chosen, choose) {
  element.replaceChildren();
  element.hidden = boxes.length === 0;
  if (!boxes.length) return;
  const image = new Image();
  image.alt = `${boxes.length} faces found`;
  image.src = URL.createObjectURL(picture);
  element.append(image);
  boxes.forEach(([left, top, right, bottom], k) => {
    const button = document.createElement("button");
    button.type = "button";
    const number = document.createElement("span");
    number.textContent = k + 1;
    button.append(number);
    button.setAttribute("aria-label", `Face ${k + 1}`);
    button.setAttribute("aria-pressed", k === chosen);
    Object.assign(button.style, { left: `${100 * left}%`, top: `${100 * top}%`, width: `${100 * (right - left)}%`, height: `${100 * (bottom - top)}%` });
    button.addEventListener("click", () => choose(k));
    element.append(button);
  });
  await image.decode();
}
