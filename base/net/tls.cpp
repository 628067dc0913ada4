#include "base/net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

namespace kokuin::net {

namespace {

std::string last_reason() {
    const auto code = ERR_peek_last_error();
    const char* text = code ? ERR_reason_error_string(code) : nullptr;
    return text ? text : "unknown fault";
}

// nullopt if the file can be opened; otherwise why not.
std::optional<Error> unreadable(const std::string& what, const std::string& path) {
    if (path.empty()) return Error::usage("TLS: no " + what + " is configured");
    if (std::FILE* file = std::fopen(path.c_str(), "re")) {
        static_cast<void>(std::fclose(file));
        return std::nullopt;
    }
    const int code = errno;
    auto text = path + ": the TLS " + what + " can't be read: " + std::generic_category().message(code);
    // Somebody named a file that isn't there; all else is for whoever keeps the machine.
    if (code == ENOENT || code == ENOTDIR) return Error::usage(std::move(text));
    return Error::environment(std::move(text));
}

// Never ask on a terminal for the passphrase of a key.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*data*/) {
    return 0;
}

Result<TlsContext> base_context(const SSL_METHOD* method) {
    ERR_clear_error();
    TlsContext context(SSL_CTX_new(method), TlsDeleter());
    if (!context) return Error::environment("TLS: no context: " + last_reason());
    auto* raw = context.get();
    SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
    // CRYPTREC's list (TAA-3): forward secrecy and AES-GCM only.
    if (SSL_CTX_set_cipher_list(raw,
                                "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256") != 1 ||
        SSL_CTX_set_ciphersuites(raw, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384") != 1)
        return Error::environment("TLS: OpenSSL lacks the AES-GCM suites: " + last_reason());
    SSL_CTX_set_options(raw,
                        SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    // Idle connections keep no record buffers (34 KB each); writes may be repeated from where the buffer
    // moved to.
    SSL_CTX_set_mode(
        raw, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_default_passwd_cb(raw, no_passphrase);
    // No resumption: a connection's peer is always the one whose certificate was checked in its own
    // handshake.
    SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(raw, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(raw, 0);
    return context;
}

std::optional<Error> use_pair(SSL_CTX* context, const std::string& certificate, const std::string& key) {
    if (auto error = unreadable("certificate", certificate)) return error;
    if (auto error = unreadable("key", key)) return error;
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1)
        return Error::usage(certificate + ": no usable PEM certificate in it: " + last_reason());
    ERR_clear_error();
    if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
        const auto code = ERR_peek_last_error();
        if (ERR_GET_LIB(code) == ERR_LIB_X509 && ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH)
            return Error::usage(key + ": this key does not belong to the certificate in " + certificate);
        if (ERR_GET_LIB(code) == ERR_LIB_X509 && ERR_GET_REASON(code) == X509_R_KEY_TYPE_MISMATCH)
            return Error::usage(key + ": this key is of another kind than the certificate in " + certificate);
        return Error::usage(key +
                            ": no usable PEM private key in it (it must not be encrypted): " + last_reason());
    }
    if (SSL_CTX_check_private_key(context) != 1)
        return Error::usage(key + ": this key does not belong to the certificate in " + certificate);
    return std::nullopt;
}

std::optional<Error> use_anchors(SSL_CTX* context, const std::string& path) {
    if (auto error = unreadable("CA file", path)) return error;
    ERR_clear_error();
    if (SSL_CTX_load_verify_file(context, path.c_str()) != 1)
        return Error::usage(path + ": no usable PEM certificate of a CA in it: " + last_reason());
    return std::nullopt;
}

bool is_ip(const std::string& text) {
    ASN1_OCTET_STRING* octets = a2i_IPADDRESS(text.c_str());
    ASN1_OCTET_STRING_free(octets);
    return octets != nullptr;
}

std::vector<std::string> names_of(X509* certificate, bool with_addresses) {
    std::vector<std::string> out;
    auto* names =
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
    for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
        const auto* name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS) {
            const auto* text = name->d.dNSName;
            out.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                             static_cast<std::size_t>(ASN1_STRING_length(text)));
        } else if (name->type == GEN_IPADD && with_addresses && ASN1_STRING_length(name->d.iPAddress) == 4) {
            const auto* octets = ASN1_STRING_get0_data(name->d.iPAddress);
            out.push_back(std::to_string(octets[0]) + '.' + std::to_string(octets[1]) + '.' +
                          std::to_string(octets[2]) + '.' + std::to_string(octets[3]));
        }
    }
    GENERAL_NAMES_free(names);
    return out;
}

}  // namespace

void TlsDeleter::operator()(ssl_ctx_st* context) const {
    SSL_CTX_free(context);
}
void TlsDeleter::operator()(ssl_st* session) const {
    SSL_free(session);
}

Result<TlsContext> make_context(const ServerTls& tls) {
    auto context = base_context(TLS_server_method());
    if (!context) return context;
    if (auto error = use_pair(context->get(), tls.certificate, tls.key)) return std::move(*error);
    if (!tls.client_ca.empty()) {
        if (auto error = use_anchors(context->get(), tls.client_ca)) return std::move(*error);
        SSL_CTX_set_verify(context->get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
        SSL_CTX_set_client_CA_list(context->get(), SSL_load_client_CA_file(tls.client_ca.c_str()));
    }
    return context;
}

Result<TlsContext> make_context(const ClientTls& tls) {
    auto context = base_context(TLS_client_method());
    if (!context) return context;
    if (tls.expected_name.empty())
        return Error::usage("TLS: no name is configured that the server must have");
    if (auto error = use_anchors(context->get(), tls.ca)) return std::move(*error);
    if (!tls.certificate.empty() || !tls.key.empty()) {
        if (auto error = use_pair(context->get(), tls.certificate, tls.key)) return std::move(*error);
    }
    SSL_CTX_set_verify(context->get(), SSL_VERIFY_PEER, nullptr);
    return context;
}

Result<TlsSession> make_server_session(const TlsContext& context, int fd) {
    ERR_clear_error();
    TlsSession session(SSL_new(context.get()));
    if (!session || SSL_set_fd(session.get(), fd) != 1)
        return Error::environment("TLS: no session: " + last_reason());
    SSL_set_accept_state(session.get());
    return session;
}

Result<TlsSession> make_client_session(const TlsContext& context, int fd, const std::string& expected_name) {
    ERR_clear_error();
    TlsSession session(SSL_new(context.get()));
    if (!session || SSL_set_fd(session.get(), fd) != 1)
        return Error::environment("TLS: no session: " + last_reason());
    bool named = false;
    if (is_ip(expected_name)) {
        named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session.get()), expected_name.c_str()) == 1;
    } else {
        // RFC 6125 6.4.4: the subject's CN is no name of a server any more.
        SSL_set_hostflags(session.get(),
                          X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
        named = SSL_set1_host(session.get(), expected_name.c_str()) == 1 &&
                SSL_set_tlsext_host_name(session.get(), expected_name.c_str()) == 1;
    }
    if (!named) return Error::usage("TLS: no name or address that a server can have: " + expected_name);
    SSL_set_connect_state(session.get());
    return session;
}

std::shared_ptr<const PeerCertificate> peer_certificate(const ssl_st* session) {
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(session),
                                                                  X509_free);
    if (!certificate) return nullptr;
    auto out = std::make_shared<PeerCertificate>();
    unsigned char* der = nullptr;
    const int size = i2d_X509(certificate.get(), &der);
    if (size > 0) out->der.assign(der, der + size);
    OPENSSL_free(der);
    out->sha256.resize(32);
    unsigned length = 32;
    X509_digest(certificate.get(), EVP_sha256(), out->sha256.data(), &length);
    auto* subject = X509_get_subject_name(certificate.get());
    int last = -1;
    for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;) last = at;
    if (last >= 0) {
        unsigned char* text = nullptr;
        const int octets =
            ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
        if (octets > 0)
            out->common_name.assign(reinterpret_cast<char*>(text), static_cast<std::size_t>(octets));
        OPENSSL_free(text);
    }
    out->dns_names = names_of(certificate.get(), false);
    return out;
}

std::string tls_reason(const ssl_st* session, const std::string& expected_name) {
    const auto code = ERR_peek_error();
    const char* text = code ? ERR_reason_error_string(code) : nullptr;
    const int lib = ERR_GET_LIB(code);
    const int why = ERR_GET_REASON(code);
    ERR_clear_error();
    if (lib == ERR_LIB_SSL && why == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        const long verdict = SSL_get_verify_result(session);
        if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH) {
            std::string names;
            // The peer's certificate isn't stored when its verification failed; the chain's leaf says as
            // much.
            const auto* chain = SSL_get_peer_cert_chain(session);
            if (sk_X509_num(chain) > 0) {
                for (const auto& name : names_of(sk_X509_value(chain, 0), true))
                    names += (names.empty() ? "" : ", ") + name;
            }
            return "the server's certificate is for " + (names.empty() ? "no name" : names) + ", not for " +
                   expected_name;
        }
        return std::string("the server's certificate is not trusted: ") +
               X509_verify_cert_error_string(verdict) + "; is it under the configured CA?";
    }
    // Alerts are numbered from SSL_AD_REASON_OFFSET on.
    if (lib == ERR_LIB_SSL && why >= SSL_AD_REASON_OFFSET) {
        switch (why - SSL_AD_REASON_OFFSET) {
            case SSL_AD_CERTIFICATE_REQUIRED:
            case SSL_AD_HANDSHAKE_FAILURE:
                return std::string("the server refused us (it may demand a client certificate): ") + text;
            case SSL_AD_BAD_CERTIFICATE:
            case SSL_AD_UNSUPPORTED_CERTIFICATE:
            case SSL_AD_CERTIFICATE_REVOKED:
            case SSL_AD_CERTIFICATE_EXPIRED:
            case SSL_AD_CERTIFICATE_UNKNOWN:
            case SSL_AD_UNKNOWN_CA:
                return std::string("the server refused our certificate: ") + text;
            default:
                return std::string("the server refused: ") + text;
        }
    }
    return text ? text : "the connection broke off";
}

}  // namespace kokuin::net
