// TLS on OpenSSL: contexts made of files, and what to say when something is wrong. Inside base/net only.
#pragma once

#include <memory>
#include <string>

#include "base/net/client.h"
#include "base/net/http.h"
#include "base/net/server.h"
#include "base/result.h"

struct ssl_ctx_st;
struct ssl_st;

namespace kokuin::net {

struct TlsDeleter {
    void operator()(ssl_ctx_st* context) const;
    void operator()(ssl_st* session) const;
};
using TlsContext = std::shared_ptr<ssl_ctx_st>;
using TlsSession = std::unique_ptr<ssl_st, TlsDeleter>;

/// Reads the files. Errors name the file, what is wrong with it and what should be there.
Result<TlsContext> make_context(const ServerTls& tls);
Result<TlsContext> make_context(const ClientTls& tls);

/// A session on a connected, non-blocking socket, which must outlive it.
Result<TlsSession> make_server_session(const TlsContext& context, int fd);
/// `expected_name`: see ClientTls.
Result<TlsSession> make_client_session(const TlsContext& context, int fd, const std::string& expected_name);

/// The certificate the peer showed, if any; only after a handshake.
std::shared_ptr<const PeerCertificate> peer_certificate(const ssl_st* session);
/// Why a client's handshake, or what came after it, failed: from the session's verification result and
/// OpenSSL's queue of errors, which is emptied. Without prefix.
std::string tls_reason(const ssl_st* session, const std::string& expected_name);

}  // namespace kokuin::net
