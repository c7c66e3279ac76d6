// The slider through the samples of training, and pictures that open enlarged.
(() => {
  const scrub = document.getElementById("scrub"), stage = document.getElementById("stage"), series = document.getElementById("training");
  if (scrub && stage && series) {
    const last = document.createElement("figure"), caption = document.createElement("figcaption");
    const step = document.getElementById("step");
    caption.textContent = step.textContent;
    last.append(...[...stage.childNodes].map((node) => node.cloneNode(true)), caption);
    series.append(last); // the static page shows it on the stage only, so that it is in the file once
    const cells = [...series.children];
    const show = () => {
      const media = cells[scrub.value].cloneNode(true);
      step.textContent = media.querySelector(":scope > figcaption").textContent;
      scrub.setAttribute("aria-valuetext", `step ${step.textContent}`);
      media.querySelector(":scope > figcaption").remove();
      stage.replaceChildren(...media.childNodes);
      cells.forEach((cell, i) => cell.classList.toggle("current", i == scrub.value));
    };
    scrub.hidden = false;
    scrub.oninput = show;
    cells.forEach((cell, i) =>
      cell.addEventListener("click", (event) => {
        if (event.target.closest("audio, .scroll:not(.detailed), pre")) return;
        scrub.value = i;
        show();
      }),
    );
    series.classList.add("live");
    show();
  }

  const dialog = document.createElement("dialog");
  dialog.className = "enlarged";
  dialog.onclick = () => dialog.close();
  dialog.onkeydown = (event) => {
    if (!["Enter", " "].includes(event.key)) return; // not false, which would keep Escape from closing it
    event.preventDefault();
    dialog.close();
  };
  document.body.append(dialog);
  const enlarge = (image) => {
    const copy = image.cloneNode(), { naturalWidth: width, naturalHeight: height } = image;
    copy.removeAttribute("tabindex");
    copy.removeAttribute("role");
    copy.classList.toggle("pixels", image.src.startsWith("data:image/png"));
    // As large as the window allows; a narrow window shows at least the picture's own size, and scrolls.
    const size = Math.max(Math.min((0.94 * innerWidth) / width, (0.86 * innerHeight) / height), Math.min(1, 600 / width));
    copy.style.width = `${Math.round(width * size)}px`;
    const text = document.createElement("p");
    text.textContent = image.alt;
    dialog.replaceChildren(copy, text);
    dialog.setAttribute("aria-label", image.alt);
    dialog.showModal();
  };
  const picture = (target) => (target.matches?.("figure img") && !target.closest("#training") ? target : null);
  document.addEventListener("click", (event) => picture(event.target) && enlarge(event.target));
  document.addEventListener("keydown", (event) => {
    if (!["Enter", " "].includes(event.key) || !picture(event.target)) return;
    event.preventDefault();
    enlarge(event.target);
  });
  const ready = () => {
    for (const image of document.querySelectorAll("figure img"))
      if (!image.closest("#training") && image.tabIndex < 0) Object.assign(image, { tabIndex: 0, title: "Click to enlarge", role: "button" });
  };
  ready();
  if (stage) new MutationObserver(ready).observe(stage, { childList: true, subtree: true });
})();
