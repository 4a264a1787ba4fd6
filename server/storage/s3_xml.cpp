#include "server/storage/s3_xml.h"

#include <pugixml.hpp>

#include "protocol/http_text.h"

namespace aster::storage {
namespace {

/// pugixml expands no entities but the five of XML itself, and reads no document type.
Result<pugi::xml_node> root_of(pugi::xml_document& document, std::string_view xml,
                               const char* name) {
  const auto parsed = document.load_buffer(xml.data(), xml.size());
  const pugi::xml_node root = document.document_element();
  if (!parsed || std::string_view(root.name()) != name) {
    return fail(Errc::io_error, "S3: the answer is no " + std::string(name));
  }
  return root;
}

std::string text_of(const pugi::xml_node& node, const char* name) {
  return node.child_value(name);
}

/// Keys come encoded when the service understood that we asked for it: XML cannot carry them all.
Result<std::string> key_of(const pugi::xml_node& root, std::string text) {
  if (std::string_view(root.child_value("EncodingType")) != "url") return text;
  Result<std::string> key = form_decode(text);
  if (!key.ok()) return fail(Errc::io_error, "S3: a listed key is not encoded as it says");
  return key;
}

}  // namespace

S3ErrorAnswer parse_s3_error(std::string_view xml) {
  pugi::xml_document document;
  const auto root = root_of(document, xml, "Error");
  if (!root.ok()) return {};
  return {text_of(*root, "Code"), text_of(*root, "Message"), text_of(*root, "Region")};
}

Result<S3KeyPage> parse_s3_keys(std::string_view xml) {
  pugi::xml_document document;
  ASTER_TRY(const pugi::xml_node root, root_of(document, xml, "ListBucketResult"));
  S3KeyPage page;
  page.truncated = std::string_view(root.child_value("IsTruncated")) == "true";
  for (const pugi::xml_node& item : root.children("Contents")) {
    ASTER_TRY(std::string key, key_of(root, text_of(item, "Key")));
    page.keys.push_back(std::move(key));
  }
  return page;
}

Result<S3UploadPage> parse_s3_uploads(std::string_view xml) {
  pugi::xml_document document;
  ASTER_TRY(const pugi::xml_node root, root_of(document, xml, "ListMultipartUploadsResult"));
  S3UploadPage page;
  page.truncated = std::string_view(root.child_value("IsTruncated")) == "true";
  ASTER_TRY(page.next_key, key_of(root, text_of(root, "NextKeyMarker")));
  page.next_upload_id = text_of(root, "NextUploadIdMarker");
  for (const pugi::xml_node& item : root.children("Upload")) {
    ASTER_TRY(std::string key, key_of(root, text_of(item, "Key")));
    page.uploads.push_back({std::move(key), text_of(item, "UploadId")});
  }
  return page;
}

Result<std::string> parse_s3_upload_id(std::string_view xml) {
  pugi::xml_document document;
  ASTER_TRY(const pugi::xml_node root, root_of(document, xml, "InitiateMultipartUploadResult"));
  std::string id = text_of(root, "UploadId");
  if (id.empty()) return fail(Errc::io_error, "S3: a multipart upload without an id");
  return id;
}

Result<std::string> parse_s3_copy(std::string_view xml) {
  pugi::xml_document document;
  const auto part = root_of(document, xml, "CopyPartResult");
  if (part.ok()) return text_of(*part, "ETag");
  ASTER_TRY(const pugi::xml_node whole, root_of(document, xml, "CopyObjectResult"));
  return text_of(whole, "ETag");
}

std::string s3_completion(const std::vector<std::string>& etags) {
  pugi::xml_document document;
  pugi::xml_node root = document.append_child("CompleteMultipartUpload");
  size_t number = 0;
  for (const std::string& etag : etags) {
    pugi::xml_node part = root.append_child("Part");
    part.append_child("PartNumber").text().set(std::to_string(++number).c_str());
    part.append_child("ETag").text().set(etag.c_str());
  }
  struct Text final : pugi::xml_writer {
    std::string out;
    void write(const void* data, size_t size) override {
      out.append(static_cast<const char*>(data), size);
    }
  } writer;
  document.save(writer, "", pugi::format_raw | pugi::format_no_declaration);
  return std::move(writer.out);
}

}  // namespace aster::storage
