// A transcription of the format's rules (openai-harmony's json_schema_to_typescript), quirks included: the
// models were trained on exactly this text.
#include "harmony/typescript.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "harmony/json_text.h"

namespace oxidized {
namespace {

const std::string* String(const OrderedJson& schema, const char* key) {
  const OrderedJson* member = Member(schema, key);
  return member && member->is_string() ? &member->get_ref<const std::string&>() : nullptr;
}

const OrderedJson* Array(const OrderedJson& schema, const char* key) {
  const OrderedJson* member = Member(schema, key);
  return member && member->is_array() ? member : nullptr;
}

std::vector<std::string> StringsOf(const OrderedJson& array) {
  std::vector<std::string> strings;
  for (const OrderedJson& element : array) {
    if (element.is_string()) strings.push_back(element.get_ref<const std::string&>());
  }
  return strings;
}

std::string Join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i) out += separator;
    out += parts[i];
  }
  return out;
}

// How a string default beside an enum is shown: bare for a property, as JSON for a variant of a top-level
// oneOf.
enum class EnumDefault { kBare, kJson };

// "default: …", or empty when the schema has none.
std::string DefaultOf(const OrderedJson& schema, EnumDefault enum_default) {
  const OrderedJson* value = Member(schema, "default");
  if (!value) return {};
  if (!value->is_string()) return CompactJson(*value).insert(0, "default: ");
  const auto& text = value->get_ref<const std::string&>();
  const OrderedJson* values = Array(schema, "enum");
  if (!values || values->empty()) return "default: \"" + text + "\"";
  return (enum_default == EnumDefault::kBare ? std::string(text) : CompactJson(*value))
      .insert(0, "default: ");
}

std::string TypeOf(const OrderedJson& schema, const std::string& indent);

std::string NullableTypeOf(const OrderedJson& schema, const std::string& indent) {
  std::string type = TypeOf(schema, indent);
  const OrderedJson* nullable = Member(schema, "nullable");
  const bool is_nullable = nullable && nullable->is_boolean() && nullable->get<bool>();
  if (is_nullable && type.find("null") == std::string::npos) type += " | null";
  return type;
}

// ` | T // description default: …`. `show_description`: not already above the property.
std::string VariantOf(const OrderedJson& variant, const std::string& indent, EnumDefault enum_default,
                      bool show_description) {
  std::string out = indent + " | " + NullableTypeOf(variant, indent + "   ");
  std::vector<std::string> comments;
  if (const std::string* description = String(variant, "description"); description && show_description) {
    comments.push_back(*description);
  }
  if (std::string text = DefaultOf(variant, enum_default); !text.empty()) comments.push_back(std::move(text));
  if (!comments.empty()) out += " // " + Join(comments, " ");
  return out;
}

void AppendOneOfProperty(const std::string& key_text, const OrderedJson& property,
                         const OrderedJson& variants, const std::string& indent, std::string& out) {
  const std::string* description = String(property, "description");
  const std::string* first = variants.empty() ? nullptr : String(variants.front(), "description");
  const bool shown_above = description && !(first && *first == *description);
  if (shown_above) out += indent + "// " + *description + "\n";
  if (const std::string text = DefaultOf(property, EnumDefault::kBare); !text.empty()) {
    out += indent + "// " + text + "\n";
  }
  out += indent + key_text + ":\n";
  for (size_t i = 0; i < variants.size(); ++i) {
    const std::string* own = String(variants[i], "description");
    const bool repeats = own && description && *own == *description;
    const bool show = !(i == 0 && shown_above) && !repeats;
    out += VariantOf(variants[i], indent, EnumDefault::kBare, show) + "\n";
  }
  out += indent + ",\n";
}

void AppendProperty(const std::string& key, const OrderedJson& property, bool required,
                    const std::string& indent, std::string& out) {
  const OrderedJson* one_of = Member(property, "oneOf");
  if (const std::string* title = String(property, "title")) {
    out += indent + "// " + *title + "\n" + indent + "//\n";
  }
  if (const std::string* description = String(property, "description"); description && !one_of) {
    out += indent + "// " + *description + "\n";
  }
  if (const OrderedJson* examples = Array(property, "examples"); examples && !examples->empty()) {
    out += indent + "// Examples:\n";
    for (const std::string& example : StringsOf(*examples)) out += indent + "// - \"" + example + "\"\n";
  }
  const std::string key_text = key + (required ? "" : "?");
  if (one_of && one_of->is_array()) {
    AppendOneOfProperty(key_text, property, *one_of, indent, out);
    return;
  }
  out += indent + key_text + ": " + NullableTypeOf(property, indent + "    ") + ",";
  if (const std::string text = DefaultOf(property, EnumDefault::kBare); !text.empty() && !one_of)
    out += " // " + text;
  out += "\n";
}

std::string ObjectTypeOf(const OrderedJson& schema, const std::string& indent) {
  std::string out;
  if (const std::string* description = String(schema, "description"))
    out += indent + "// " + *description + "\n";
  out += "{\n";
  const OrderedJson* properties = Member(schema, "properties");
  if (properties && properties->is_object()) {
    const OrderedJson* array = Array(schema, "required");
    std::vector<std::string> required = array ? StringsOf(*array) : std::vector<std::string>{};
    std::sort(required.begin(), required.end());
    for (const auto& [key, property] : properties->items()) {
      AppendProperty(key, property, std::binary_search(required.begin(), required.end(), key), indent, out);
    }
  }
  return out + indent + "}";
}

std::string StringTypeOf(const OrderedJson& schema) {
  const OrderedJson* values = Array(schema, "enum");
  std::vector<std::string> quoted = values ? StringsOf(*values) : std::vector<std::string>{};
  for (std::string& value : quoted) value = "\"" + value + "\"";
  return quoted.empty() ? "string" : Join(quoted, " | ");
}

std::string TypeOf(const OrderedJson& schema, const std::string& indent) {
  if (const OrderedJson* variants = Array(schema, "oneOf")) {
    std::string out;
    for (const OrderedJson& variant : *variants) {
      out += '\n';
      out += VariantOf(variant, indent, EnumDefault::kJson, true);
    }
    return out;
  }
  if (const OrderedJson* types = Array(schema, "type")) {
    std::vector<std::string> names = StringsOf(*types);
    std::replace(names.begin(), names.end(), std::string("integer"), std::string("number"));
    return names.empty() ? "any" : Join(names, " | ");
  }
  const std::string* type = String(schema, "type");
  if (!type) return "any";
  if (*type == "object") return ObjectTypeOf(schema, indent);
  if (*type == "string") return StringTypeOf(schema);
  if (*type == "number" || *type == "integer") return "number";
  if (*type == "boolean") return "boolean";
  if (*type == "array") {
    const OrderedJson* items = Member(schema, "items");
    return items ? TypeOf(*items, indent).append("[]") : "Array<any>";
  }
  return "any";
}

}  // namespace

std::string TypeScriptOf(std::string_view schema_json, std::string_view name) {
  return TypeOf(ParseJson(schema_json, name), "");
}

}  // namespace oxidized
