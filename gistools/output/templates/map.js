// Shows one column in one year: colours, texts for hovering, CBDs of the year, the legend with counts.
// Names and labels reach the page as text nodes or through Bokeh's escaped fields, never as HTML.
const column = names.indexOf(select.value)
const year = slider === null ? 0 : slider.value
const shades = colours[column]
const bounds = uppers[column]
const unit = units[column]
const counts = shades.map(() => 0)
const paint = [], hatch = [], shown = []
let missing = 0

function readable(value) {
  return value.toLocaleString("en-GB", { maximumSignificantDigits: 5, useGrouping: Math.abs(value) >= 10000 })
}

for (const value of values[column][year]) {
  if (value === null) {
    missing += 1
    paint.push("#f4f4f4")
    hatch.push("right_diagonal_line")
    shown.push("no value")
    continue
  }
  let k = 0
  while (k < bounds.length - 1 && value > bounds[k]) k += 1
  counts[k] += 1
  paint.push(shades[k])
  hatch.push(" ")
  shown.push(unit ? `${readable(value)} (${unit})` : readable(value))
}
cities.data.paint = paint
cities.data.hatch = hatch
cities.data.shown = shown
cities.change.emit()
if (centres !== null) {
  const [x, y, light] = centre_years[year]
  centres.data.x = x
  centres.data.y = y
  centres.data.light = light.map((value) => (value === null ? "unknown" : readable(value)))
  centres.change.emit()
}

const legend = document.getElementById("legend")
const heading = document.createElement("h2")
heading.textContent = `${labels[column]}, ${years[year]}`
const rows = document.createElement("ul")
const row = (swatch_class, background, label, count) => {
  const item = document.createElement("li")
  const swatch = document.createElement("span")
  swatch.className = swatch_class
  if (background !== null) swatch.style.background = background
  item.append(swatch, `${label} (${count})`)
  rows.append(item)
}
shades.forEach((shade, k) => row("swatch", shade, classes[column][k], counts[k]))
if (missing > 0) row("swatch none", null, "no value", missing)
const about = document.createElement("p")
about.textContent = `${unit ? `Unit: ${unit}. ` : ""}In brackets: number of cities. The classes are those of all years together.`
legend.replaceChildren(heading, rows, about)
