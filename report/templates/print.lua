-- Every word becomes a Typst string, so that no text is ever read as Typst markup.

local function quoted(text)
  return '"' .. text:gsub("\\", "\\\\"):gsub('"', '\\"') .. '"'
end

local function figure(element)
  local image = element.content[1].content[1]
  -- Figures float, so that no page ends half empty; the first of an answer to the foot, below the question.
  local placement = element.classes:includes("foot") and "bottom" or element.classes:includes("float") and "auto" or "none"
  local opening = string.format(
    "#figure(kind: image, placement: %s, image(%s, alt: %s, width: %s), caption: [",
    placement, quoted(image.src), quoted(pandoc.utils.stringify(image.caption)), image.attributes.width)
  local blocks = pandoc.Blocks { pandoc.RawBlock("typst", opening) }
  blocks:extend(element.caption.long)
  blocks:insert(pandoc.RawBlock("typst", "])<" .. element.identifier .. ">"))
  return blocks
end

-- The most important numbers stand side by side.
local function headlines(element)
  if element.identifier ~= "headlines" then return nil end
  local blocks = pandoc.Blocks { pandoc.RawBlock("typst", string.format("#grid(columns: %d * (1fr,), gutter: 1.2em,", #element.content)) }
  for _, block in ipairs(element.content) do
    blocks:insert(pandoc.RawBlock("typst", "["))
    blocks:insert(block)
    blocks:insert(pandoc.RawBlock("typst", "],"))
  end
  blocks:insert(pandoc.RawBlock("typst", ")"))
  element.content = blocks
  return element
end

-- An answer starts on a page of its own, after the figures of the one before.
local function header(element)
  if not element.classes:includes("page") then return nil end
  return { pandoc.RawBlock("typst", "#place.flush()\n#pagebreak(weak: true)"), element }
end

local function word(element)
  return pandoc.RawInline("typst", "#" .. quoted(element.text) .. ";")
end

-- Two passes: a description is read before its words are no words any more.
return { { Figure = figure, Div = headlines, Header = header }, { Str = word } }
