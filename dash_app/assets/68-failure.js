// Why a task failed, above its page: the line that matters, the cause in plain words, the way out, and the way to that
// line in the log.
(function () {
  "use strict";
  const { text, h, setText } = mm;

  function failure(root, task, open) {
    const failed = task.state === "FAILED", shown = root.querySelector("[data-banner=failed]");
    const extra = failed && !shown ? parts(task, open) : null;
    mm.banner(root, "failed", "bad", "exclamation-octagon-fill", failed ? task.error || text("state.FAILED") : "", extra);
    const box = root.querySelector("[data-banner=failed]");
    if (!box) { return; }
    setText(box.querySelector(".failure-cause"), mm.has(`cause.${task.error_class}`) ? text(`cause.${task.error_class}`) : "");
    setText(box.querySelector(".notice-hint"), task.hint);
    if (extra) { findLine(box, task, open); }
  }

  function parts() {
    return h("div", { class: "failure" },
      h("p", { class: "failure-cause" }), h("p", { class: "notice-hint" }),
      h("p", { class: "failure-line mono", hidden: true }),
      h("button", { type: "button", class: "btn btn-quiet btn-small", id: "failure-log", hidden: true }, text("failure_log")));
  }

  async function findLine(box, task, open) {
    const { line } = await mm.api(`/api/tasks/${task.id}/log/failure`).catch(() => ({ line: null }));
    if (!line) { return; }
    const button = box.querySelector("#failure-log"), told = box.querySelector(".failure-line");
    button.hidden = false;
    button.addEventListener("click", () => open(line.at));
    // Our own sentence says it better than the line of the log, where that has it.
    told.hidden = line.level !== "error" || line.text.includes(task.error.slice(0, 60)) || task.error.includes(line.text);
    setText(told, line.text);
  }

  mm.failure = failure;
})();
