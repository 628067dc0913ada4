#include "tsa/publication.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <mutex>

#include "base/file.h"
#include "base/text.h"
#include "pki/ocsp_folder.h"

namespace kokuin::tsa {
namespace {

using net::Request;
using net::Response;

constexpr std::size_t largest_file = 16U << 20U;
constexpr nanoseconds files_hold = std::chrono::minutes(5);

/// The media type of a published file; nothing for what isn't offered.
const char* type_of(std::string_view file) {
    constexpr std::array<std::pair<std::string_view, const char*>, 4> types{
        {{".pem", "application/x-pem-file"},
         {".crt", "application/pkix-cert"},
         {".crl", "application/pkix-crl"},
         {".json", "application/json"}}};
    if (file == "SHA256SUMS") return "text/plain";
    if (file.empty() || file.front() == '.') return nullptr;
    for (const auto& [ending, type] : types)
        if (file.ends_with(ending)) return type;
    return nullptr;
}

Response published(const Request& request, const std::string& folder) {
    const auto file = request.parameter("file");
    const auto* type = type_of(file);
    const auto path = folder + "/" + std::string(file);
    const auto none = [] {
        auto response = Response::text(404, "nothing of this name is published");
        response.fields = {{"Cache-Control", "no-store"}};
        return response;
    };
    if (!type || ::access(path.c_str(), F_OK) != 0) return none();
    auto octets = read_file(path, largest_file);
    if (!octets) {
        spdlog::error("repository text=\"{}\"", octets.error().text);
        return Response::text(503, "not possible at the moment; try again");
    }
    auto response = Response::octets(200, type, std::move(*octets));
    response.fields = {
        {"Cache-Control",
         "public, max-age=" + std::to_string(std::chrono::duration_cast<seconds>(files_hold).count())}};
    return response;
}

/// What strangers' requests bring up is said once a minute, however many there are. Thread-safe.
class Troubles {
  public:
    bool is_news(WallTime now) {
        const std::lock_guard lock(mutex_);
        if (now >= said_ && now - said_ < std::chrono::minutes(1)) return false;
        said_ = now;
        return true;
    }

  private:
    std::mutex mutex_;
    WallTime said_{};
};

Response ocsp(View request, const std::string& folder, const WallClock& wall, Troubles& troubles) {
    const auto now = wall.now();
    auto answer = pki::answer_from_folder(folder + "/ocsp", request, now);
    if (!answer.trouble.empty() && troubles.is_news(now))
        spdlog::error("repository text=\"{}\"", answer.trouble);
    auto response = Response::octets(200, "application/ocsp-response", std::move(answer.der));
    const auto holds = answer.next_update ? *answer.next_update - now : nanoseconds(0);
    response.fields = {
        {"Cache-Control", holds > seconds(0)
                              ? "public, no-transform, must-revalidate, max-age=" +
                                    std::to_string(std::chrono::duration_cast<seconds>(
                                                       std::min<nanoseconds>(holds, std::chrono::hours(1)))
                                                       .count())
                              : "no-store"}};
    return response;
}

}  // namespace

void add_publication_routes(net::Router& router, const std::string& folder, const WallClock& wall) {
    router.add("GET", "/repository/{file}",
               [folder](const Request& request) { return published(request, folder); });
    router.add("POST", "/repository/ocsp",
               [folder, &wall, troubles = std::make_shared<Troubles>()](const Request& request) {
                   return ocsp(request.body, folder, wall, *troubles);
               },
               {{"application/ocsp-request"}, pki::largest_ocsp_request});
}

}  // namespace kokuin::tsa
