#include "base/text_table.h"

#include <fmt/format.h>

#include <algorithm>

namespace oxidized {
namespace {

using Cells = std::vector<std::string>;

void Drop(TextTable& table, size_t column) {
  const auto at = static_cast<std::ptrdiff_t>(column);
  table.names.erase(table.names.begin() + at);
  for (Cells& row : table.rows) {
    if (row.size() > 1) row.erase(row.begin() + at);
  }
}

// The cell that all rows have there; nullptr where they differ or there are no rows.
const std::string* CommonCell(const TextTable& table, size_t column) {
  const std::string* common = nullptr;
  for (const Cells& row : table.rows) {
    if (row.size() == 1) continue;
    if (common != nullptr && *common != row[column]) return nullptr;
    common = &row[column];
  }
  return common;
}

}  // namespace

void TextTable::DropEmpty() {
  for (size_t i = names.size(); i-- > 1;) {
    const std::string* common = CommonCell(*this, i);
    if (common != nullptr && common->empty()) Drop(*this, i);
  }
}

std::string TextTable::DropCommon(const std::string& name) {
  const auto column = static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
  if (column == 0 || column == names.size()) return "";
  const std::string* common = CommonCell(*this, column);
  if (common == nullptr) return "";
  const std::string cell = *common;
  Drop(*this, column);
  return cell;
}

std::string Aligned(const TextTable& table, const std::string& indent) {
  std::vector<size_t> widths;
  for (const std::string& name : table.names) widths.push_back(name.size());
  for (const Cells& row : table.rows) {
    for (size_t i = 0; row.size() > 1 && i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  const auto line = [&](const Cells& row) {
    text += indent;
    if (row.size() == 1) {
      text += row[0];
    } else {
      text += fmt::format("{:<{}}", row[0], widths[0]);
      for (size_t i = 1; i < row.size(); ++i) text += fmt::format("  {:>{}}", row[i], widths[i]);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  };
  line(table.names);
  for (const Cells& row : table.rows) line(row);
  return text;
}

std::string Markdown(const TextTable& table) {
  std::string text;
  const auto line = [&](const Cells& row) {
    text += "|";
    for (const std::string& cell : row) text += " " + cell + " |";
    text += '\n';
  };
  line(table.names);
  text += "|---|";
  for (size_t i = 1; i < table.names.size(); ++i) text += "---:|";
  text += '\n';
  for (const Cells& row : table.rows) line(row);
  return text;
}

}  // namespace oxidized
