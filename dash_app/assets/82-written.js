// The settings of the form as YAML, command and Python. YAML that is changed is read on the server and written into the
// form; what the form has no place for stays in the text until somebody mends it or takes the form's.
(function () {
  "use strict";
  const { text, h, setText } = mm;
  const PAUSE = 500;

  function start(root) {
    const panel = root.querySelector("#written");
    if (!panel) { return; }
    const part = (name) => panel.querySelector(`#written-${name}`);
    const written = { panel, area: part("yaml"), problems: part("problems"), kept: part("kept"), command: part("command"), python: part("python"), timer: null, reading: false, own: false, same: "", round: 0 };
    panel.addEventListener("toggle", () => { if (panel.open) { write(written); } });
    written.area.addEventListener("input", () => {
      clearTimeout(written.timer);
      written.timer = setTimeout(() => read(written), PAUSE);
    });
    part("again").addEventListener("click", () => { written.own = false; written.same = ""; write(written); });
    part("upload").addEventListener("click", () => upload(written));
    part("download").addEventListener("click", () => download(written));
    for (const name of ["yaml", "command", "python"]) {
      part(`copy-${name}`).addEventListener("click", () => copy(name === "yaml" ? written.area : written[name]));
    }
    const changed = () => {
      if (!document.contains(panel)) { document.removeEventListener("form-changed", changed); return; }
      if (panel.open) { write(written); }
    };
    document.addEventListener("form-changed", changed);
  }

  const post = (path, body) => mm.api(path, { method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify(body) });

  async function write(written) {
    const round = written.round += 1;
    let told;
    try { told = await post("/api/form/write", mm.form.now()); } catch (error) { mm.complain(error); return; }
    if (round !== written.round) { return; }
    setText(written.command, told.command);
    setText(written.python, told.python);
    if (written.timer || written.reading) { return; }
    written.kept.hidden = !written.own || told.yaml === written.same;
    if (!written.own && told.yaml !== written.same) {
      written.area.value = written.same = told.yaml;
      written.problems.replaceChildren();
    }
  }

  async function read(written) {
    written.timer = null;
    const given = written.area.value;
    written.reading = true;
    let told;
    try { told = await post("/api/form/read", { text: given, type: mm.form.now().type }); } catch (error) { mm.complain(error); return; } finally { written.reading = false; }
    if (given !== written.area.value) { return; }
    written.own = told.lost;
    written.kept.hidden = true;
    written.problems.replaceChildren(...told.problems.map((problem) => h("li", {}, problem.line ? h("strong", {}, text("written_line", { n: problem.line })) : null, problem.label ? ` ${problem.label}: ` : " ", problem.message)));
    if (!told.readable) { return; }
    written.same = told.yaml;
    mm.form.write(told);
  }

  function upload(written) {
    const input = h("input", { type: "file", accept: ".yaml,.yml,.json,text/*" });
    input.addEventListener("change", async () => {
      if (!input.files[0]) { return; }
      if (input.files[0].size > 65536) { mm.toast(text("written_large"), { kind: "bad" }); return; }
      written.area.value = await input.files[0].text();
      clearTimeout(written.timer);
      read(written);
    });
    input.click();
  }

  function download(written) {
    const address = URL.createObjectURL(new Blob([written.area.value], { type: "application/yaml" }));
    h("a", { href: address, download: `${mm.form.now().name || mm.form.now().type}.yaml` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }

  async function copy(element) {
    const shown = element.value === undefined ? element.textContent : element.value;
    try { await navigator.clipboard.writeText(shown); } catch (error) {
      const box = h("textarea", { class: "visually-hidden" }); // where a page may not use the clipboard by itself
      box.value = shown;
      document.body.append(box);
      box.select();
      document.execCommand("copy");
      box.remove();
    }
    mm.toast(text("written_copied"), { seconds: 3 });
  }

  mm.pages.push(start);
})();
