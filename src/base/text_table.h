// Tables of the program's text output: columns as wide as they need.
#pragma once

#include <string>
#include <vector>

namespace oxidized {

inline constexpr int kTableColumns = 80;  // what every table fits, but for those that say otherwise

struct TextTable {
  std::vector<std::string> names;              // of the columns
  std::vector<std::vector<std::string>> rows;  // a row of one cell is a line by itself: no column
  // Drops the columns that are empty in every row.
  void DropEmpty();
  // Drops the column if its cells are all the same, and gives that cell; "" where they differ.
  std::string DropCommon(const std::string& name);
};

// The first column to the left, the others to the right, two spaces apart, a line each.
std::string Aligned(const TextTable& table, const std::string& indent = "");
// The same as a table of Markdown.
std::string Markdown(const TextTable& table);

}  // namespace oxidized
