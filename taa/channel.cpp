#include "taa/channel.h"

#include <chrono>
#include <utility>

#include "base/text.h"

namespace kokuin::taa {
namespace {

constexpr std::size_t nonce_octets = 32;
/// How far the wall clock may run from the monotonic one during a sample: slewing (500 ppm) stays far below,
/// a step that could spoil the offset doesn't.
constexpr nanoseconds step = milliseconds(1);
/// A TSU's clock farther away than this is no clock, and the arithmetic of offsets would overflow.
constexpr nanoseconds century = std::chrono::hours(24) * 36525;

bool far_away(WallTime time, WallTime from) {
    return time > from + century || time < from - century;
}

net::Call json_call(std::string method, std::string path, std::string_view body) {
    net::Call call;
    call.method = std::move(method);
    call.path = std::move(path);
    call.content_type = "application/json";
    call.body = Bytes(as_view(body).begin(), as_view(body).end());
    return call;
}

std::string status_text(const net::Response& response) {
    std::string text = "HTTP status " + std::to_string(response.status);
    const auto body = one_line(as_text(response.body), 200);
    return body.empty() ? text : text + ": " + body;
}

}  // namespace

Result<Sample, NoSample> judge_sample(const tac::ClockRequest& request, const tac::ClockAnswer& answer,
                                      WallTime t1, WallTime t4_wall, nanoseconds elapsed) {
    using Kind = NoSample::Kind;
    // An answer to something else, or played back.
    if (!equal(answer.nonce, request.nonce))
        return NoSample{Kind::bad_answer, "the answer names another nonce"};
    if (std::chrono::abs((t4_wall - t1) - elapsed) > step)
        return NoSample{Kind::disturbed, "the TAA's own clock was stepped during the exchange"};
    if (far_away(answer.t2, t1) || far_away(answer.t3, t1))
        return NoSample{Kind::bad_answer, "the TSU's clock is more than a century away"};
    if (answer.t3 < answer.t2)
        return NoSample{Kind::bad_answer, "the TSU's clock ran backwards while it answered"};
    if (answer.t3 - answer.t2 > elapsed + step)
        return NoSample{Kind::bad_answer, "the TSU says it took longer to answer than it did"};
    if (answer.t3 - answer.t2 > longest_answer)
        return NoSample{Kind::disturbed,
                        "the TSU says it took " +
                            config::to_text(std::chrono::ceil<microseconds>(answer.t3 - answer.t2)) +
                            " to answer; no more than " + config::to_text(longest_answer) +
                            " is taken from its word"};
    Sample sample;
    sample.nonce = request.nonce;
    sample.t1 = t1;
    sample.t2 = answer.t2;
    sample.t3 = answer.t3;
    sample.t4 = t1 + elapsed;
    sample.certificate_sha256 = answer.certificate_sha256;
    sample.measurement = tac::measure(sample.t1, sample.t2, sample.t3, sample.t4);
    return sample;
}

Result<Channel> Channel::open(const net::Client& client, nanoseconds deadline) {
    auto connection = client.connect(deadline);
    if (!connection) return std::move(connection).error();
    return Channel(std::move(*connection), client, deadline);
}

Result<Sample, NoSample> Channel::sample(const std::string& called, const Clocks& clocks,
                                         View certificate_sha256) {
    using Kind = NoSample::Kind;
    const tac::ClockRequest request{random_octets(nonce_octets), called,
                                    Bytes(certificate_sha256.begin(), certificate_sha256.end())};
    const auto call = json_call("POST", "/audit/clock", request.to_json());
    // The monotonic readings enclose the wall ones, so the delay is never measured too short.
    const MonoTime m1 = clocks.mono.now();
    const WallTime t1 = clocks.wall.now();
    const auto response = connection_.request(call, deadline_);
    const WallTime t4 = clocks.wall.now();
    const MonoTime m4 = clocks.mono.now();
    if (!response) return NoSample{Kind::unreachable, response.error().text};
    if (response->status != 200)
        return NoSample{Kind::bad_answer, "POST /audit/clock: " + status_text(*response)};
    const auto answer = tac::ClockAnswer::from_json(as_text(response->body));
    if (!answer) return NoSample{Kind::bad_answer, "POST /audit/clock: " + answer.error().text};
    return judge_sample(request, *answer, t1, t4, m4 - m1);
}

Result<tac::DeliveryVerdict> Channel::deliver(const tac::TacDelivery& delivery) {
    const auto call = json_call("PUT", "/audit/tac", delivery.to_json());
    // Signing in a slow HSM may have taken longer than the TSU keeps a connection.
    auto response =
        connection_.open() ? connection_.request(call, deadline_) : client_.request(call, deadline_);
    if (!response) return std::move(response).error();
    auto verdict = tac::DeliveryVerdict::from_json(as_text(response->body));
    if (response->status != 200) return Error::environment("PUT /audit/tac: " + status_text(*response));
    if (!verdict) return std::move(verdict).error().in("PUT /audit/tac");
    return verdict;
}

Done Channel::notify(const tac::Notice& notice) {
    const auto response =
        connection_.request(json_call("POST", "/audit/notice", notice.to_json()), deadline_);
    if (!response) return response.error();
    if (response->status != 200) return Error::environment("POST /audit/notice: " + status_text(*response));
    const auto answer = tac::NoticeAnswer::from_json(as_text(response->body));
    if (!answer) return Error(answer.error()).in("POST /audit/notice");
    return {};
}

}  // namespace kokuin::taa
