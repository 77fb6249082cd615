// What can be done with many tasks at once: one question, one request, and a result for each.
(function () {
  "use strict";
  const { text, h, icon, toast, complain } = mm;
  const MOST_COMPARED = 20, MOST_TOLD = 8, MOST_WEIGHED = 100;
  const FITS = {
    stop: (task) => ["QUEUED", "STARTING", "RUNNING"].includes(task.state),
    resume: (task) => !task.deleted_at && ["FAILED", "STOPPED"].includes(task.state),
    archive: (task) => task.ended && !task.archived_at,
    unarchive: (task) => Boolean(task.archived_at),
    delete: (task) => task.ended && !task.deleted_at,
  };
  const BACK = { delete: "restore", archive: "unarchive", unarchive: "archive" };
  const several = (key, n, more) => text(n === 1 && mm.has(`${key}_one`) ? `${key}_one` : key, { n: mm.whole(n), ...more });

  mm.bulkActions = (page, archived) => (items) => {
    const names = ["stop", "resume", archived() ? "unarchive" : "archive", "delete"];
    const buttons = names.map((name) => {
      const fitting = items.filter(FITS[name]).length;
      return h("button", { class: `btn ${name === "stop" || name === "delete" ? "btn-quiet btn-danger" : "btn-quiet"}`, type: "button", "data-bulk": name, disabled: !fitting, title: fitting ? several(`bulk_${name}_title`, fitting) : text("bulk_none_fits"), "aria-label": text(name), onclick: () => act(page, name, items) },
        icon(mm.actions.icons[name]), h("span", {}, text(name)));
    });
    return [...buttons, compare(items)];
  };

  function compare(items) {
    const many = items.length > MOST_COMPARED, path = `/compare?ids=${items.map((task) => encodeURIComponent(task.id)).join(",")}`;
    return h("button", { class: "btn btn-quiet", type: "button", "data-bulk": "compare", disabled: items.length < 2 || many, title: many ? text("bulk_compare_many", { n: MOST_COMPARED }) : items.length < 2 ? text("bulk_compare_few") : "", "aria-label": text("bulk_compare"), onclick: () => mm.visit(path) },
      icon("graph-down"), h("span", {}, text("bulk_compare")));
  }

  async function act(page, name, items) {
    const fitting = items.filter(FITS[name]), left = items.filter((task) => !FITS[name](task));
    const title = several(`bulk_${name}_title`, fitting.length);
    const sure = name === "delete" && fitting.length <= MOST_WEIGHED // else the question would be long in coming
      ? mm.trash.ask(title, (found) => message(name, fitting, left, found), fitting.map((task) => task.id), text(name))
      : mm.ask(title, message(name, fitting, left), text(name), name === "stop" || name === "delete");
    if (!(await sure)) { return; }
    await send(page, name, fitting);
  }

  function message(name, fitting, left, found) {
    const frees = found ? ` ${text("bulk_frees", { bytes: mm.trash.size(found.bytes) })}` : "";
    const parts = [h("span", { class: "ask-line" }, text(`bulk_${name}_text`) + frees)];
    if (fitting.length <= MOST_TOLD) { parts.push(h("span", { class: "ask-line ask-names" }, fitting.map((task) => task.name).join(" · "))); }
    if (left.length) {
      const states = new Map();
      for (const task of left) { states.set(task.state, (states.get(task.state) || 0) + 1); }
      const told = [...states].map(([state, n]) => `${text(`state.${state}`)} ${mm.whole(n)}`).join(" · ");
      parts.push(h("span", { class: "ask-line ask-left" }, icon("info-circle"), h("span", {}, several("bulk_left", left.length, { states: told }))));
    }
    return h("span", {}, ...parts);
  }

  async function send(page, name, tasks, undoing) {
    let answer;
    try {
      answer = await mm.api("/api/tasks/bulk", { method: "POST", headers: { Accept: "application/json", "Content-Type": "application/json" }, body: JSON.stringify({ action: name, ids: tasks.map((task) => task.id) }) });
    } catch (error) { complain(error); page.wake(true); return; }
    const byId = new Map(tasks.map((task) => [task.id, task])), done = answer.results.filter((result) => result.ok).map((result) => byId.get(result.id)), failed = answer.results.filter((result) => !result.ok);
    for (const task of done) { mm.listChanged(page, name, task); }
    if (!undoing) { page.selection.drop(done.map((task) => task.id)); }
    page.wake(true);
    if (done.length) {
      const undo = BACK[name] && !undoing ? { label: text("undo"), action: () => send(page, BACK[name], done, true), seconds: 12 } : {};
      toast(several(`bulk_done_${name}`, done.length), undo);
    }
    if (failed.length) { tell(failed, byId, tasks.length); }
  }

  function tell(failed, byId, total) {
    const lines = failed.slice(0, MOST_TOLD).map((result) => h("li", {}, h("strong", {}, (byId.get(result.id) || { name: result.id }).name), ` ${result.error} ${result.hint}`));
    if (failed.length > MOST_TOLD) { lines.push(h("li", {}, text("bulk_more", { n: mm.whole(failed.length - MOST_TOLD) }))); }
    const dialog = h("dialog", { class: "ask", "aria-labelledby": "bulk-failed-title" }, h("h2", { id: "bulk-failed-title" }, text("bulk_failed", { n: mm.whole(failed.length), total: mm.whole(total) })),
      h("ul", { class: "bulk-failed" }, ...lines), h("div", { class: "ask-buttons" }, h("button", { class: "btn btn-primary", type: "button", id: "bulk-failed-close", onclick: () => dialog.close() }, text("close"))));
    mm.openDialog(dialog);
  }
})();
