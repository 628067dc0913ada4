#include "pki/ocsp_folder.h"

#include <unistd.h>

#include <cerrno>

#include "base/file.h"

namespace kokuin::pki {
namespace {

constexpr std::size_t largest_response = 64U << 10U;

PublishedResponse only(OcspStatus status, std::string trouble = {}) {
    return {ocsp_refusal(status), std::nullopt, std::nullopt, std::move(trouble)};
}

}  // namespace

std::optional<std::string> ocsp_file_name(const CertId& id) {
    const auto hash = hash_from_oid(id.algorithm);
    if (hash != Hash::sha1 && hash != Hash::sha256) return std::nullopt;
    if (id.issuer_key_hash.size() != length(*hash) || id.issuer_name_hash.size() != length(*hash))
        return std::nullopt;
    View serial = id.serial;
    if (serial.empty() || (serial[0] & 0x80U) != 0) return std::nullopt;
    while (serial.size() > 1 && serial[0] == 0) serial = serial.subspan(1);
    if (serial.size() > longest_serial) return std::nullopt;
    return std::string(name(*hash)) + "-" + to_hex(id.issuer_key_hash) + "-" + to_hex(serial) + ".der";
}

std::optional<std::string> ocsp_get_path(const CertId& id) {
    OcspRequest request;
    request.ids.push_back(id);
    std::string path;
    for (const char c : to_base64(request.encode()))
        if (c != '/' || path.empty() || path.back() != '/') path += c;
    if (path.back() == '/') return std::nullopt;
    return path;
}

PublishedResponse answer_from_folder(const std::string& folder, View request, WallTime now) {
    if (request.size() > largest_ocsp_request) return only(OcspStatus::malformed_request);
    const auto asked = OcspRequest::decode(request);
    if (!asked) return only(OcspStatus::malformed_request);
    if (asked->ids.size() != 1) return only(OcspStatus::unauthorized);
    const auto& id = asked->ids.front();
    const auto file = ocsp_file_name(id);
    if (!file) return only(OcspStatus::unauthorized);
    const auto path = folder + "/" + *file;
    auto octets = read_file(path, largest_response);
    if (!octets) {
        if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT &&
            ::access(folder.c_str(), R_OK | X_OK) == 0)
            return only(OcspStatus::unauthorized);
        return only(OcspStatus::internal_error, octets.error().text);
    }
    const auto response = OcspResponse::decode(*octets);
    if (!response) return only(OcspStatus::internal_error, path + ": " + response.error().text);
    const auto& said = response->answer().responses;
    if (said.size() != 1 || !(said.front().id.serial == id.serial))
        return only(OcspStatus::internal_error,
                    path + ": isn't the response that its name says; publish again");
    // The key's hash fits and the name's doesn't: no certificate of this issuer.
    if (!(said.front().id == id)) return only(OcspStatus::unauthorized);
    const auto next = said.front().next_update;
    if (next && *next < now)
        return only(OcspStatus::try_later, path + ": ended on " + to_rfc3339(*next, 0) +
                                               "; the CA must publish again (tsca publish)");
    return {std::move(*octets), said.front().this_update, next, ""};
}

}  // namespace kokuin::pki
