"""The style sheet of a page: narrow and wide, light and dark, and on paper."""

STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1c2024; --soft: #5b636d; --rule: #d5dae0;
  --panel: #f5f7f9; --a: #3b8bd4; --b: #a63c06; --same: #a9d8b4; --different: #c1301c;
  --changed: #3b6ea8; --kept: #cfd8e3; --unknown: #98a1ab; --good: #1d7a3a; --open: #8a5a00 }
@media screen and (prefers-color-scheme: dark) {
  :root { --ground: #15181b; --ink: #e7eaed; --soft: #a3abb4; --rule: #363c43; --panel: #1e2226;
    --a: #4d9fe6; --b: #ffb680; --same: #2f6a43; --different: #ff7a63; --changed: #7fb2ee;
    --kept: #38424d; --unknown: #757e88; --good: #6cce8a; --open: #e5b454 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 3rem; background: var(--ground);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .75rem }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; padding-top: .75rem;
  border-top: 1px solid var(--rule) }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem }
p { margin: .5rem 0; max-width: 48rem }
code { font: .9em ui-monospace, monospace }
.soft, figcaption, .x, .y, footer { color: var(--soft); font-size: .875rem }
.verdict { border-left: .4rem solid var(--open); background: var(--panel); padding: .75rem 1rem;
  border-radius: .25rem }
.verdict strong { font-size: 1.25rem; color: var(--open) }
.verdict.yes { border-color: var(--good) } .verdict.yes strong { color: var(--good) }
.verdict.no { border-color: var(--different) } .verdict.no strong { color: var(--different) }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: .9rem }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0;
  border-bottom: 1px solid var(--rule) }
thead th { color: var(--soft); font-weight: 600 }
tbody th { font-weight: 600 }
td { font-variant-numeric: tabular-nums }
th { overflow-wrap: normal }
td.yes, td.no, td.open { padding-right: 0; width: 6.5rem; overflow-wrap: normal }
td.yes { color: var(--good) } td.no { color: var(--different); font-weight: 600 }
td.open { color: var(--open) }
figure { margin: 1rem 0 1.5rem }
figcaption { margin-bottom: .5rem; max-width: 48rem }
figcaption b { color: var(--ink); margin-right: .25rem }
.axes { display: flex; gap: .5rem }
.y { display: flex; flex-direction: column; justify-content: space-between; width: 4.5rem;
  flex: none; text-align: right; line-height: 1; padding-bottom: 1.5rem; overflow-wrap: normal }
.area { flex: 1; min-width: 0; display: flex; flex-direction: column }
.where { position: relative; height: 1.4rem; font-size: .8rem; color: var(--different) }
.where span { position: absolute; bottom: 0; white-space: nowrap; padding: 0 .25rem }
.axes:has(.where) .y { padding-top: 1.4rem }
.x { display: flex; justify-content: space-between; gap: 1rem; line-height: 1.5rem }
svg { display: block }
.plot { width: 100%; height: 12.5rem; overflow: visible; border: 1px solid var(--rule);
  border-width: 0 0 1px 1px }
.plot path { fill: none; vector-effect: non-scaling-stroke; stroke-linejoin: round;
  stroke-linecap: round }
.curve.a { stroke: var(--a); stroke-width: 4px; opacity: .6 }
.curve.a:only-of-type { stroke-width: 1.75px; opacity: 1 }
.curve.b { stroke: var(--b); stroke-width: 1.5px }
.plot path.bars { fill: var(--different); opacity: .6 }
.plot path.mark { stroke: var(--different); stroke-width: 1.5px; stroke-dasharray: 5 4 }
.key { display: inline-block; width: 1.4rem; height: .8rem; vertical-align: -.1rem }
span.key { height: 0; border-top: 2px solid var(--b); vertical-align: .25rem }
span.key.a { border-top: 4px solid var(--a) }
.same { fill: var(--same) } .different { fill: var(--different) } .none { fill: var(--unknown) }
.alone .same { fill: var(--kept) } .alone .different { fill: var(--changed) }
.row { display: grid; grid-template-columns: minmax(0, 14rem) minmax(0, 1fr) 6rem; gap: .75rem;
  align-items: center; font-size: .875rem; line-height: 1.25; padding: .125rem 0 }
.row .strip { width: 100%; height: 1.1rem }
.under { margin-left: 5rem }
.under .row { grid-template-columns: minmax(0, 1fr) auto; gap: .1rem .5rem }
.under .strip { grid-area: 2 / 1 / auto / -1 }
.row .count { font-variant-numeric: tabular-nums; color: var(--soft) }
ol { padding-left: 1.5rem }
details { margin: .5rem 0 }
summary { cursor: pointer; color: var(--soft) }
:focus-visible { outline: 2px solid var(--a); outline-offset: 2px }
footer { margin-top: 3rem; border-top: 1px solid var(--rule); padding-top: .75rem }
@media (max-width: 40rem) {
  body { padding-top: 1rem } h1 { font-size: 1.1rem }
  .y { width: 3.6rem; font-size: .75rem } .under { margin-left: 4.1rem }
  .row, .under .row { grid-template-columns: minmax(0, 1fr) auto; gap: .1rem .5rem;
    padding: .25rem 0 }
  .row .strip { grid-area: 2 / 1 / auto / -1 }
  td { min-width: 5.25rem } td.yes, td.no, td.open { width: auto; min-width: 0 }
  th, td { padding-right: .4rem } table { font-size: .8rem } }
@media print {
  body { max-width: none; padding: 0; font-size: 11pt } figure, tr, .verdict { break-inside: avoid }
  h2 { break-after: avoid } .wide { overflow: visible }
  details::details-content { content-visibility: visible; block-size: auto } }
"""
