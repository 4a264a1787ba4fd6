#include <boost/json.hpp>

#include "protocol/base/text.h"
#include "server/content/serve_file.h"
#include "server/files/file_api.h"
#include "server/primary/api_json.h"

namespace aster::files {
namespace {

namespace json = boost::json;

std::string_view type_name(fs::FileType type) {
  switch (type) {
    case fs::FileType::regular: return "file";
    case fs::FileType::directory: return "folder";
    case fs::FileType::symlink: return "symlink";
    case fs::FileType::fifo:
    case fs::FileType::socket:
    case fs::FileType::char_device:
    case fs::FileType::block_device: return "special";
  }
  return "special";
}

/// Names are bytes: what JSON cannot carry travels as base64.
json::value name_value(const std::string& name) {
  if (is_utf8(name)) return json::value(name);
  return json::object{{"b64", encode_base64(name)}};
}

}  // namespace

std::string info_json(const fs::Attr& attr, const content::Path& path) {
  const std::string name = path.empty() ? std::string() : path.back();
  json::object out{{"id", attr.ino.value},
                   {"type", type_name(attr.type)},
                   {"name", name_value(name)},
                   {"path", path.empty() ? "/" : content::encode_path(path)},
                   {"created_at", primary::rfc3339(attr.btime / 1'000'000'000)},
                   {"updated_at", primary::rfc3339(attr.mtime / 1'000'000'000)}};
  if (attr.type == fs::FileType::regular) {
    out["size"] = attr.size;
    out["mime_type"] = content::content_type_of(name);
    out["etag"] = content::etag_of(attr);
  }
  return json::serialize(out);
}

std::string items_json(const std::vector<std::string>& items) {
  std::string out = "[";
  for (const std::string& item : items) out += (out.size() > 1 ? "," : "") + item;
  return out + "]";
}

}  // namespace aster::files
