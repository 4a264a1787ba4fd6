#include "server/http/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <ctime>

#include "server/http/tls_context.h"

namespace aster::http {
namespace {

Result<void> check_key_file(const std::filesystem::path& key) {
  struct stat st {};
  if (::stat(key.c_str(), &st) != 0) return fail_errno("server.tls_key " + key.string());
  if ((st.st_mode & S_IRWXO) != 0) {
    return fail(Errc::forbidden, "server.tls_key: everybody may read " + key.string() +
                                     "; run: chmod o= " + key.string());
  }
  return ok();
}

Error unusable(const char* option, const std::filesystem::path& file, const error_code& error) {
  const std::error_code seen = error;
  if (seen.category() == std::system_category() || !std::filesystem::exists(file)) {
    return fail(Errc::not_found, std::string(option) + ": " + file.string() + " cannot be read");
  }
  return fail(Errc::bad_request,
              std::string(option) + ": " + file.string() + ": " + error.message());
}

Result<std::shared_ptr<TlsIdentity::Context>> read_files(const TlsIdentity::Files& files) {
  ASTER_TRY(check_key_file(files.key));
  auto made = std::make_shared<TlsIdentity::Context>();
  asio::ssl::context& context = made->context;
  SSL_CTX* const raw = context.native_handle();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // An idle connection, such as an event stream, then costs 10 KiB instead of 45.
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);
  error_code error;
  if (context.use_certificate_chain_file(files.certificate.string(), error)) {
    return unusable("server.tls_certificate", files.certificate, error);
  }
  if (context.use_private_key_file(files.key.string(), asio::ssl::context::pem, error)) {
    if (ERR_GET_REASON(static_cast<unsigned long>(error.value())) == X509_R_KEY_VALUES_MISMATCH) {
      return fail(Errc::bad_request, "server.tls_key: " + files.key.string() +
                                         " is not the key of " + files.certificate.string());
    }
    return unusable("server.tls_key", files.key, error);
  }
  return made;
}

int64_t seconds_of(const ASN1_TIME* time) {
  std::tm utc{};
  return ASN1_TIME_to_tm(time, &utc) == 1 ? static_cast<int64_t>(::timegm(&utc)) : 0;
}

}  // namespace

TlsIdentity::~TlsIdentity() = default;

Result<std::shared_ptr<TlsIdentity>> TlsIdentity::load(Files files) {
  const std::shared_ptr<TlsIdentity> identity(new TlsIdentity(std::move(files)));
  ASTER_TRY(identity->reload());
  return identity;
}

Result<void> TlsIdentity::reload() {
  ASTER_TRY(std::shared_ptr<Context> fresh, read_files(files_));
  *current_.lock() = std::move(fresh);
  return ok();
}

TlsIdentity::Facts TlsIdentity::facts() const {
  const std::shared_ptr<Context> context = current();
  const X509* const certificate = SSL_CTX_get0_certificate(context->context.native_handle());
  char subject[256] = "";
  X509_NAME_oneline(X509_get_subject_name(certificate), subject, sizeof subject);
  return {subject, seconds_of(X509_get0_notAfter(certificate))};
}

}  // namespace aster::http
