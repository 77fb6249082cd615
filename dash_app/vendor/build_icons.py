"""Write `assets/20-icons.css` from the Bootstrap Icons package: only the icons that we show, as masks that take the
colour of the text.

    npm pack bootstrap-icons@1.13.2 && tar xzf bootstrap-icons-1.13.2.tgz
    python dash_app/vendor/build_icons.py package/icons
"""

import sys
from pathlib import Path
from urllib.parse import quote

ICONS = """
plus-circle list-task box-seam circle-half moon-stars sun translate play-fill stop-circle arrow-repeat
arrow-counterclockwise copy trash download box-arrow-up-right search x-lg check-lg exclamation-triangle-fill
info-circle exclamation-octagon-fill chevron-right chevron-left chevron-down inbox cpu clock lightning-charge
graph-down sliders hdd database tag arrow-up-right arrow-down-circle-fill pause-circle book three-dots
link-45deg flag-fill hourglass-split file-earmark-binary cloud-slash mortarboard chat-dots
archive box-arrow-up sort-down sort-up chevron-up chevron-bar-up chevron-bar-down list-ol keyboard
arrows-fullscreen fullscreen-exit zoom-out graph-up
"""

HEAD = """/* Bootstrap Icons 1.13.2, MIT, see licences/bootstrap-icons.txt. Made by vendor/build_icons.py. */
.bi{display:inline-block;width:1em;height:1em;flex:none;background:currentColor;
-webkit-mask:var(--icon) center/contain no-repeat;mask:var(--icon) center/contain no-repeat;vertical-align:-.125em}
"""


def main(folder: Path) -> None:
    lines = [HEAD]
    for name in ICONS.split():
        svg = " ".join((folder / f"{name}.svg").read_text(encoding="utf-8").split())
        lines.append(
            f'.bi-{name}{{--icon:url("data:image/svg+xml,{quote(svg, safe=" =:/().,-")}")}}\n'.replace("%22", "'")
        )
    target = Path(__file__).parent.parent / "assets" / "20-icons.css"
    target.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
