#include "base/net/client.h"

#include <csignal>

#include "base/config.h"
#include "base/net/channel.h"
#include "base/net/exchange.h"
#include "base/net/tls.h"

namespace kokuin::net {

struct Client::Shared {
    ClientOptions options;
    TlsContext context;
    std::string where;
    std::string host;  // for the Host field
};

struct Connection::Impl {
    std::shared_ptr<const Client::Shared> client;
    Channel channel;
    bool open = true;
    std::shared_ptr<const PeerCertificate> peer;
};

namespace {

// For messages: whole milliseconds.
std::string shown(nanoseconds time) {
    return config::to_text(std::chrono::ceil<milliseconds>(time));
}

std::string expected_name(const ClientOptions& options) {
    return options.tls ? options.tls->expected_name : "";
}

}  // namespace

Connection::Connection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() {
    if (impl_ && impl_->open) impl_->channel.finish();
}

bool Connection::open() const {
    return impl_ && impl_->open;
}
std::shared_ptr<const PeerCertificate> Connection::peer() const {
    return impl_->peer;
}

Result<Response> Connection::request(const Call& call, nanoseconds deadline) {
    const auto& client = *impl_->client;
    if (!impl_->open) return Error::environment(client.where + ": the connection is closed already");
    if (!is_token(call.method) || !call.path.starts_with('/') || !is_field_value(call.path) ||
        call.path.find(' ') != std::string::npos || !is_field_value(call.content_type))
        return Error::usage(client.where + ": not a request that HTTP can carry: " + call.method + ' ' +
                            call.path);
    impl_->open = false;
    auto outcome =
        exchange(impl_->channel, client.host, call, client.options.max_response, deadline_in(deadline));
    if (outcome.io == Io::ok && outcome.fault.empty()) {
        impl_->open = outcome.keep;
        if (!outcome.keep) impl_->channel.finish();
        return std::move(outcome.response);
    }
    if (!outcome.fault.empty())
        return Error::environment(client.where + ": the answer can't be used: " + outcome.fault);
    if (outcome.io == Io::timeout)
        return Error::environment(client.where + ": timed out after " + shown(deadline) +
                                  " while waiting for the answer");
    if (outcome.io == Io::failed && impl_->channel.tls())
        return Error::environment(
            client.where + ": TLS: " + tls_reason(impl_->channel.tls(), expected_name(client.options)));
    return Error::environment(client.where + ": the server closed the connection without a whole answer");
}

Client::Client(std::shared_ptr<const Shared> shared) : shared_(std::move(shared)) {}

Result<Client> Client::make(ClientOptions options) {
    // OpenSSL writes without MSG_NOSIGNAL: a peer that is gone must be an error, not the end of the process.
    static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
    auto shared = std::make_shared<Shared>();
    if (options.unix_path.empty()) {
        if (options.host.empty() || options.port == 0)
            return Error::usage("a client needs a host and a port");
        shared->host = config::to_text(config::Endpoint{options.host, options.port});
        shared->where = (options.tls ? "https://" : "http://") + shared->host;
    } else {
        shared->host = "localhost";
        shared->where = "unix:" + options.unix_path;
    }
    if (options.tls) {
        auto context = make_context(*options.tls);
        if (!context) return std::move(context).error();
        shared->context = std::move(*context);
    }
    shared->options = std::move(options);
    return Client(std::move(shared));
}

const std::string& Client::where() const {
    return shared_->where;
}

Result<Connection> Client::connect(nanoseconds deadline) const {
    const auto& options = shared_->options;
    const auto until = deadline_in(deadline);
    auto fd = options.unix_path.empty() ? connect_tcp(options.host, options.port, until)
                                        : connect_unix(options.unix_path, until);
    if (!fd) return std::move(fd).error();
    Channel channel(std::move(*fd));
    std::shared_ptr<const PeerCertificate> peer;
    if (options.tls) {
        auto session = make_client_session(shared_->context, channel.fd(), options.tls->expected_name);
        if (!session) return std::move(session).error().in(shared_->where);
        channel.use_tls(std::move(*session));
        const auto io = channel.handshake(until);
        if (io == Io::timeout)
            return Error::environment(shared_->where + ": timed out after " + shown(deadline) +
                                      " during the TLS handshake");
        if (io != Io::ok)
            return Error::environment(shared_->where +
                                      ": TLS: " + tls_reason(channel.tls(), options.tls->expected_name));
        peer = peer_certificate(channel.tls());
    }
    auto impl = std::make_unique<Connection::Impl>(
        Connection::Impl{shared_, std::move(channel), true, std::move(peer)});
    return Connection(std::move(impl));
}

Result<Response> Client::request(const Call& call, nanoseconds deadline) const {
    const auto start = std::chrono::steady_clock::now();
    auto connection = connect(deadline);
    if (!connection) return std::move(connection).error();
    return connection->request(call, deadline - (std::chrono::steady_clock::now() - start));
}

Result<Response> request_once(const Url& url, const Call& call, std::size_t largest, nanoseconds deadline) {
    ClientOptions options;
    options.host = url.host;
    options.port = url.port;
    options.max_response = largest;
    auto client = Client::make(std::move(options));
    if (!client) return std::move(client).error();
    return client->request(call, deadline);
}

}  // namespace kokuin::net
