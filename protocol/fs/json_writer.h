#pragma once

#include <charconv>
#include <string>

#include "protocol/base/text.h"
#include "protocol/fs/json_fields.h"

/// Writes messages as JSON text straight into one string. Inside protocol/fs only.
namespace aster::fs {

/// A JSON string literal; `text` must be valid UTF-8.
inline void append_literal(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  size_t plain = 0;  // copy runs, not characters
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, plain, i - plain);
    plain = i + 1;
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else {
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
    }
  }
  out.append(text, plain);
  out += '"';
}

/// Bytes that may be anything: a string where possible, else {"b64":"..."}.
inline void append_bytes(std::string& out, std::string_view bytes) {
  if (bytes.find('\0') == std::string_view::npos && is_utf8(bytes)) {
    append_literal(out, bytes);
    return;
  }
  out += "{\"b64\":\"";
  out += encode_base64(bytes);
  out += "\"}";
}

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) { out_ += '{'; }
  void end() { out_ += '}'; }

  template <class T>
  void operator()(std::string_view name, const T& value) {
    key(name);
    write(value);
  }
  template <class T>
  void defaulted(std::string_view name, const T& value) {
    if (!is_default(value)) (*this)(name, value);
  }
  template <class T>
  void defaulted(std::string_view name, const std::optional<T>& value) {
    if (value) (*this)(name, *value);
  }
  /// Members of `value` among this object's own.
  template <class T>
  void inlined(const T& value) {
    fields(*this, const_cast<T&>(value));  // the writer changes nothing
  }
  void key(std::string_view name) {
    if (out_.back() != '{') out_ += ',';
    out_ += '"';
    out_ += name;
    out_ += "\":";
  }

 private:
  template <class T>
  static bool is_default(const T& value) {
    if constexpr (requires { value.empty(); }) {
      return value.empty();
    } else {
      return value == T{};
    }
  }
  template <class T>
  void number(T value) {
    char text[24];
    const auto end = std::to_chars(text, text + sizeof text, value).ptr;
    out_.append(text, end);
  }
  void write(bool value) { out_ += value ? "true" : "false"; }
  template <class T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) void write(T value) { number(value); }
  template <class Tag>
  void write(NumberId<Tag> id) {
    number(id.value);
  }
  template <class Tag>
  void write(const RandomId<Tag>& id) {
    out_ += '"';
    out_ += id.hex();
    out_ += '"';
  }
  void write(const std::string& bytes) { append_bytes(out_, bytes); }
  void write(FileType type) { append_literal(out_, kTypeNames[static_cast<size_t>(type)]); }
  void write(const std::vector<uint32_t>& words) {
    std::string raw;
    raw.reserve(words.size() * 4);
    for (const uint32_t w : words) {
      for (int shift = 0; shift < 32; shift += 8) raw += static_cast<char>(w >> shift & 0xFF);
    }
    out_ += '"';
    out_ += encode_base64(raw);
    out_ += '"';
  }
  template <class T>
  void write(const std::vector<T>& items) {
    out_ += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += ',';
      write(items[i]);
    }
    out_ += ']';
  }
  template <class T>
  requires std::is_class_v<T>
  void write(const T& message) {
    Writer inner(out_);
    inner.inlined(message);
    inner.end();
  }

  std::string& out_;
};

}  // namespace aster::fs
