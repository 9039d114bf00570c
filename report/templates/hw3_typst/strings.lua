-- Every word becomes a Typst string, so that no text is ever read as Typst markup.

local function quoted(text)
  return '"' .. text:gsub("\\", "\\\\"):gsub('"', '\\"') .. '"'
end

local function figure(element)
  local image = element.content[1].content[1]
  local opening = string.format(
    "#figure(kind: image, image(%s, alt: %s, width: %s), caption: [",
    quoted(image.src), quoted(pandoc.utils.stringify(image.caption)), image.attributes.width)
  local blocks = pandoc.Blocks { pandoc.RawBlock("typst", opening) }
  blocks:extend(element.caption.long)
  blocks:insert(pandoc.RawBlock("typst", "])<" .. element.identifier .. ">"))
  return blocks
end

-- The most important numbers stand side by side.
local function headlines(element)
  if element.identifier ~= "headlines" or #element.content == 0 then return nil end
  local items = element.content[1].content
  local blocks = pandoc.Blocks { pandoc.RawBlock("typst", string.format("#grid(columns: %d * (1fr,), gutter: 1.2em,", #items)) }
  for _, item in ipairs(items) do
    blocks:insert(pandoc.RawBlock("typst", "["))
    blocks:extend(item)
    blocks:insert(pandoc.RawBlock("typst", "],"))
  end
  blocks:insert(pandoc.RawBlock("typst", ")"))
  element.content = blocks
  return element
end

-- A displayed equation stands in the middle of the text, not of a block of its own size.
local function division(element)
  if element.classes:includes("equation") then return element.content end
  return headlines(element)
end

-- Which run a figure or table comes from: small, and in one piece.
local function run(element)
  if not element.classes:includes("runs") then return nil end
  return { pandoc.RawInline("typst", "#h(0.9em)#box(text(size: 0.9em)["), element, pandoc.RawInline("typst", "])") }
end

-- A picture among a student's own words.
local function picture(element)
  return pandoc.RawInline("typst", string.format(
    "#box(image(%s, alt: %s))", quoted(element.src), quoted(pandoc.utils.stringify(element.caption))))
end

local function rule()
  return pandoc.RawBlock("typst", '#line(length: 100%, stroke: 0.5pt + rgb("#d8d1c5"))')
end

local function word(element)
  return pandoc.RawInline("typst", "#" .. quoted(element.text) .. ";")
end

-- An equation is described by its TeX: PDF/UA asks for words.
local function equation(element)
  local markup = pandoc.write(pandoc.Pandoc { pandoc.Plain { element } }, "typst"):gsub("%s+$", "")
  return pandoc.RawInline("typst", string.format(
    "#[#set math.equation(alt: %s);%s]", quoted(element.text), markup))
end

-- One after the other: a figure takes its picture with it, and a description is read before its words are no words any more.
return { { Figure = figure, Div = division, Span = run, Math = equation, HorizontalRule = rule }, { Image = picture }, { Str = word } }
