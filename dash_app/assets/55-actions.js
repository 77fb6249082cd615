// What can be done with a task, from the list and from its page alike.
(function () {
  "use strict";
  const { text, h, icon, api, toast, complain, ask } = mm;
  const ICONS = { stop: "stop-circle", resume: "play-fill", retry: "arrow-repeat", clone: "copy", delete: "trash", restore: "arrow-counterclockwise" };

  function possible(task) {
    if (task.deleted_at) { return ["restore"]; }
    switch (task.state) {
      case "QUEUED": case "STARTING": case "RUNNING": return ["stop"];
      case "FINISHED": return ["retry", "delete"];
      case "FAILED": case "STOPPED": return ["resume", "retry", "delete"];
      default: return [];
    }
  }

  async function confirmed(name, task) {
    if (name === "stop") {
      return ask(text("stop_title", { name: task.name }), text(task.state === "QUEUED" ? "stop_queued_text" : "stop_text"), text("stop"), true);
    }
    return name !== "delete" || ask(text("delete_title", { name: task.name }), text("delete_text"), text("delete"), true);
  }

  async function act(name, task, changed) {
    if (!(await confirmed(name, task))) { return; }
    try {
      const path = `/api/tasks/${encodeURIComponent(task.id)}`;
      const result = name === "delete" ? await api(path, { method: "DELETE" }) : await api(`${path}/${name}`, { method: "POST" });
      const undo = name === "delete" ? { label: text("undo"), action: () => act("restore", task, changed), seconds: 12 } : {};
      toast(text(`done_${name}`, { name: result.name || task.name }), undo);
      changed(name, result);
    } catch (error) { complain(error); }
  }

  // A button that names its task for screen readers; `words` shows the label beside the icon.
  function button(name, task, changed, words) {
    const label = text(name);
    const style = name === "stop" || name === "delete" ? "btn-quiet btn-danger" : "btn-quiet";
    return h("button", {
      class: `btn ${style} ${words ? "" : "btn-icon"}`, type: "button", "data-action": name,
      title: words ? null : label, "aria-label": words ? null : `${label}: ${task.name}`,
      onclick: () => act(name, task, changed),
    }, icon(ICONS[name]), words ? label : "");
  }

  // Why a task waits. The platform says it in English; a sentence that is not known here is shown as it came.
  const WAITS = [
    [/^waits for (?<slots>.+), held by (?<holders>.+?)\.?$/i, "waits_held"],
    [/^waits for (?<slots>.+), which this machine does not have\.?$/i, "waits_missing"],
    [/^next try in (?<seconds>.+) s\.?$/i, "waits_retry"],
    [/^position (?<n>\d+) in the queue\.?$/i, "waits_position"],
  ];
  mm.waits = (sentence) => {
    for (const [pattern, key] of WAITS) {
      const match = pattern.exec(sentence);
      if (match) { return text(key, match.groups); }
    }
    return sentence;
  };

  mm.actions = { possible, act, button, icons: ICONS };
})();
