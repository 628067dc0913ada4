#include "taa/tsus.h"

#include <utility>

#include "tac/exchange.h"

namespace kokuin::taa {
namespace {

net::ClientOptions client_options(const Settings& settings, const TsuSettings& tsu) {
    net::ClientOptions options;
    options.host = tsu.audit.host;
    options.port = tsu.audit.port;
    options.tls =
        net::ClientTls{settings.channel.ca, tsu.peer, settings.channel.certificate, settings.channel.key};
    options.max_response = tac::max_body;
    return options;
}

}  // namespace

Result<std::vector<AuditedTsu>> load_tsus(const Settings& settings) {
    std::vector<AuditedTsu> tsus;
    for (const auto& tsu : settings.tsus) {
        const auto where = "[tsu." + tsu.name + "]";
        auto certificates = pki::load_certificates(tsu.certificate);
        if (!certificates) return Error::usage(where + " certificate: " + certificates.error().text);
        if (!certificates->front().is_time_stamping_only())
            return Error::usage(
                where + " certificate: " + tsu.certificate +
                ": not a TSU's (no critical extended key usage timeStamping alone, RFC 3161 2.3); name "
                "the certificate it signs tokens with");
        auto client = net::Client::make(client_options(settings, tsu));
        if (!client) return Error::usage(where + ": " + client.error().text);
        tsus.push_back({tsu, certificates->front(), std::move(*client)});
    }
    return tsus;
}

}  // namespace kokuin::taa
