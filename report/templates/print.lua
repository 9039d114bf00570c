-- Every word becomes a Typst string, so that no text is ever read as Typst markup.

local function quoted(text)
  return '"' .. text:gsub("\\", "\\\\"):gsub('"', '\\"') .. '"'
end

local function figure(element)
  local image = element.content[1].content[1]
  -- A figure goes to the nearest top or foot of a page, so that no page ends half empty; texts name it by its number.
  local opening = string.format(
    "#figure(kind: image, placement: auto, image(%s, alt: %s, width: %s), caption: [",
    quoted(image.src), quoted(pandoc.utils.stringify(image.caption)), image.attributes.width)
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

-- The figures of an answer stand before the next question.
local function header(element)
  if element.level ~= 2 then return nil end -- levels are shifted after the filters
  return { pandoc.RawBlock("typst", "#place.flush()"), element }
end

local function word(element)
  return pandoc.RawInline("typst", "#" .. quoted(element.text) .. ";")
end

-- Two passes: a description is read before its words are no words any more.
return { { Figure = figure, Div = headlines, Header = header }, { Str = word } }
