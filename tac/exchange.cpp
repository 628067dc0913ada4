#include "tac/exchange.h"

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "base/json_text.h"
#include "base/text.h"

namespace kokuin::tac {
namespace {

using nlohmann::json;

constexpr std::size_t max_why = 256;
constexpr std::size_t max_text = 1024;
constexpr std::int64_t latest_ns = 8'200'000'000'000'000'000;
constexpr std::int64_t longest_wait = 86'400;
constexpr std::size_t max_chain_certificate = 8U << 10U;
constexpr std::size_t max_tac = 16U << 10U;

/// One JSON object, read member by member. The first fault is kept; all reads after it give empty values.
class Object {
  public:
    Object(std::string_view what, std::string_view body) : what_(what) {
        if (body.size() > max_body) {
            fail("more than " + std::to_string(max_body) + " octets");
            return;
        }
        // The callback refuses depth and doubled keys while parsing, before anything large is built.
        std::vector<std::vector<std::string>> keys;
        bool doubled = false;
        const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
            if (event == json::parse_event_t::object_start) keys.emplace_back();
            if (event == json::parse_event_t::object_end && !keys.empty()) keys.pop_back();
            if (event == json::parse_event_t::key && !keys.empty()) {
                const auto& key = parsed.get_ref<const std::string&>();
                doubled |= std::find(keys.back().begin(), keys.back().end(), key) != keys.back().end();
                keys.back().push_back(key);
            }
            return depth <= 2;
        };
        object_ = json::parse(body, watch, false);
        if (object_.is_discarded() || !object_.is_object()) {
            fail("isn't one JSON object");
        } else if (doubled) {
            fail("has a key twice");
        }
    }

    std::string text(const char* key, std::size_t least, std::size_t most) {
        const json* value = member(key);
        if (!value) return {};
        if (!value->is_string()) return fail(std::string(key) + " isn't a string"), std::string();
        auto result = value->get<std::string>();
        if (result.size() < least || result.size() > most)
            return fail(std::string(key) + " has " + std::to_string(result.size()) +
                        " octets; allowed: " + std::to_string(least) + " to " + std::to_string(most)),
                   std::string();
        if (std::any_of(result.begin(), result.end(),
                        [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
            return fail(std::string(key) + " has control characters"), std::string();
        return result;
    }
    Bytes hex(const char* key, std::size_t least, std::size_t most) {
        const auto digits = text(key, 0, 2 * most);
        auto octets = from_hex(digits);
        if (!octets || octets->size() < least || to_hex(*octets) != digits)
            return fail(std::string(key) + " isn't " + std::to_string(least) + " to " + std::to_string(most) +
                        " octets in lower-case hex"),
                   Bytes();
        return std::move(*octets);
    }
    Bytes base64(const char* key, std::size_t most) { return base64_of(text(key, 1, most * 4 / 3 + 4), key); }
    std::vector<Bytes> base64_list(const char* key, std::size_t most_entries, std::size_t most) {
        if (failed() || !object_.contains(key)) return {};
        const json* list = member(key);
        if (!list->is_array() || list->size() > most_entries)
            return fail(std::string(key) + " isn't an array of at most " + std::to_string(most_entries)),
                   std::vector<Bytes>();
        std::vector<Bytes> result;
        for (const auto& entry : *list) {
            if (!entry.is_string() || entry.get_ref<const std::string&>().size() > most * 4 / 3 + 4)
                return fail(std::string(key) + " has an entry that isn't base64 of a sensible length"),
                       std::vector<Bytes>();
            result.push_back(base64_of(entry.get<std::string>(), key));
        }
        return result;
    }
    [[nodiscard]] bool has(const char* key) const { return !failed() && object_.contains(key); }
    std::int64_t integer(const char* key) {
        const json* value = member(key);
        if (!value) return 0;
        if (!value->is_number_integer() ||
            (value->is_number_unsigned() && value->get<std::uint64_t>() > INT64_MAX))
            return fail(std::string(key) + " isn't a 64-bit integer"), 0;
        return value->get<std::int64_t>();
    }
    WallTime time(const char* key) {
        const std::int64_t ns = integer(key);
        if (ns < 0 || ns > latest_ns)
            return fail(std::string(key) + " isn't between 1970 and 2229"), WallTime{};
        return WallTime(nanoseconds(ns));
    }
    bool boolean(const char* key) {
        const json* value = member(key);
        if (!value) return false;
        if (!value->is_boolean()) return fail(std::string(key) + " isn't true or false"), false;
        return value->get<bool>();
    }
    /// To be called last: any key that wasn't asked for is unknown.
    void finish(std::initializer_list<const char*> optional = {}) {
        if (failed()) return;
        for (const auto& item : object_.items()) {
            const auto is = [&](const auto& key) { return item.key() == key; };
            if (std::none_of(read_.begin(), read_.end(), is) &&
                std::none_of(optional.begin(), optional.end(), is))
                return fail("has a key that isn't known");
        }
    }

    void fail(std::string why) {
        if (error_.empty()) error_ = what_ + ": " + std::move(why);
    }
    [[nodiscard]] bool failed() const { return !error_.empty(); }
    [[nodiscard]] Error error() const { return Error::no(error_); }

  private:
    const json* member(const char* key) {
        if (failed()) return nullptr;
        read_.emplace_back(key);
        const auto found = object_.find(key);
        if (found == object_.end()) return fail(std::string(key) + " is missing"), nullptr;
        return &*found;
    }
    Bytes base64_of(const std::string& text, const char* key) {
        if (failed()) return {};
        auto octets = from_base64(text);
        if (!octets || octets->empty()) return fail(std::string(key) + " isn't base64"), Bytes();
        return std::move(*octets);
    }

    std::string what_;
    std::string error_;
    json object_;
    std::vector<std::string> read_;
};

/// Texts from outside (reasons, names) may hold anything: what isn't UTF-8 is replaced, never thrown at.
std::string dump(const json& object) {
    return json_text(object);
}
std::int64_t ns_of(WallTime time) {
    return time.time_since_epoch().count();
}

std::string_view word(DeliveryVerdict::Kind kind) {
    switch (kind) {
        case DeliveryVerdict::Kind::accepted:
            return "accepted";
        case DeliveryVerdict::Kind::stop_accepted:
            return "stop-accepted";
        case DeliveryVerdict::Kind::refused:
            return "refused";
    }
    return "refused";
}

template <typename T>
Result<T> end(Object& object, T value, std::initializer_list<const char*> optional = {}) {
    object.finish(optional);
    if (object.failed()) return object.error();
    return value;
}

}  // namespace

Result<ClockRequest> ClockRequest::from_json(std::string_view body) {
    Object object("clock request", body);
    ClockRequest value;
    value.nonce = object.hex("nonce", min_nonce, max_nonce);
    value.tsu = object.text("tsu", 1, max_name);
    if (object.has("certificate_sha256")) value.certificate_sha256 = object.hex("certificate_sha256", 32, 32);
    return end(object, std::move(value));
}
std::string ClockRequest::to_json() const {
    json out{{"nonce", to_hex(nonce)}, {"tsu", tsu}};
    // Left out where nothing is to be said: a TSU of before successors refuses what it doesn't know.
    if (!certificate_sha256.empty()) out["certificate_sha256"] = to_hex(certificate_sha256);
    return dump(out);
}

Result<ClockAnswer> ClockAnswer::from_json(std::string_view body) {
    Object object("clock answer", body);
    ClockAnswer value;
    value.nonce = object.hex("nonce", min_nonce, max_nonce);
    value.t2 = object.time("t2_ns");
    value.t3 = object.time("t3_ns");
    value.certificate_sha256 = object.hex("certificate_sha256", 32, 32);
    return end(object, std::move(value));
}
std::string ClockAnswer::to_json() const {
    return dump({{"nonce", to_hex(nonce)},
                 {"t2_ns", ns_of(t2)},
                 {"t3_ns", ns_of(t3)},
                 {"certificate_sha256", to_hex(certificate_sha256)}});
}

Result<TacDelivery> TacDelivery::from_json(std::string_view body) {
    Object object("TAC delivery", body);
    TacDelivery value;
    value.nonce = object.hex("nonce", min_nonce, max_nonce);
    value.tac = object.base64("tac", max_tac);
    value.chain = object.base64_list("chain", max_chain, max_chain_certificate);
    return end(object, std::move(value), {"chain"});
}
std::string TacDelivery::to_json() const {
    json object{{"nonce", to_hex(nonce)}, {"tac", to_base64(tac)}};
    if (!chain.empty()) {
        auto& list = object["chain"] = json::array();
        for (const auto& certificate : chain) list.push_back(to_base64(certificate));
    }
    return dump(object);
}

Result<DeliveryVerdict> DeliveryVerdict::from_json(std::string_view body) {
    Object object("verdict", body);
    DeliveryVerdict value;
    const auto kind = object.text("verdict", 1, 32);
    bool known = false;
    for (const auto one : {Kind::accepted, Kind::stop_accepted, Kind::refused}) {
        if (kind != word(one)) continue;
        value.kind = one;
        known = true;
    }
    if (!known) object.fail("verdict is none of accepted, stop-accepted, refused");
    value.reason = object.text("reason", 0, 64);
    value.text = object.text("text", 0, max_text);
    return end(object, std::move(value));
}
std::string DeliveryVerdict::to_json() const {
    return dump(
        {{"verdict", word(kind)}, {"reason", one_line(reason, 64)}, {"text", one_line(text, max_text)}});
}

std::string_view name(Notice::Kind kind) {
    switch (kind) {
        case Notice::Kind::clock_unproved:
            return "clock-unproved";
        case Notice::Kind::key_compromised:
            return "key-compromised";
    }
    return "unknown";
}

Result<Notice> Notice::from_json(std::string_view body) {
    Object object("notice", body);
    Notice value;
    value.tsu = object.text("tsu", 1, max_name);
    const auto kind = object.text("notice", 1, 64);
    if (kind == name(Kind::key_compromised))
        value.kind = Kind::key_compromised;
    else if (kind != name(Kind::clock_unproved))
        object.fail("notice is none that is known: clock-unproved, key-compromised");
    if (value.kind == Kind::key_compromised)
        value.certificate_sha256 = object.hex("certificate_sha256", 32, 32);
    value.text = object.text("text", 0, max_text);
    return end(object, std::move(value));
}
std::string Notice::to_json() const {
    json out{{"tsu", tsu}, {"notice", std::string(name(kind))}, {"text", one_line(text, max_text)}};
    if (!certificate_sha256.empty()) out["certificate_sha256"] = to_hex(certificate_sha256);
    return dump(out);
}

Result<NoticeAnswer> NoticeAnswer::from_json(std::string_view body) {
    Object object("answer to a notice", body);
    if (!object.boolean("noted")) object.fail("noted isn't true");
    return end(object, NoticeAnswer{});
}
std::string NoticeAnswer::to_json() const {
    return dump({{"noted", true}});
}

Result<AuditRequest> AuditRequest::from_json(std::string_view body) {
    Object object("audit request", body);
    AuditRequest value;
    value.tsu = object.text("tsu", 1, max_name);
    value.why = object.text("why", 0, max_why);
    if (object.has("certificate")) value.certificate = object.base64("certificate", max_chain_certificate);
    return end(object, std::move(value));
}
std::string AuditRequest::to_json() const {
    json out{{"tsu", tsu}, {"why", one_line(why, max_why)}};
    if (!certificate.empty()) out["certificate"] = to_base64(certificate);
    return dump(out);
}

Result<AuditAnswer> AuditAnswer::from_json(std::string_view body) {
    Object object("audit answer", body);
    AuditAnswer value;
    value.accepted = object.boolean("accepted");
    const std::int64_t wait = object.integer("retry_after_s");
    if (wait < 0 || wait > longest_wait) object.fail("retry_after_s is outside 0 to 86400");
    value.retry_after = seconds(wait);
    return end(object, value);
}
std::string AuditAnswer::to_json() const {
    return dump({{"accepted", accepted},
                 {"retry_after_s", std::clamp<std::int64_t>(retry_after.count(), 0, longest_wait)}});
}

Measurement measure(WallTime t1, WallTime t2, WallTime t3, WallTime t4) {
    Measurement m;
    m.at = t1 + (t4 - t1) / 2;
    // Halved first: what a TSU says may be centuries away, and the sum wouldn't fit. Costs 1 ns at most.
    m.offset = (t2 - t1) / 2 + (t3 - t4) / 2;
    m.delay = (t4 - t1) - (t3 - t2);
    return m;
}

std::optional<std::size_t> best(const std::vector<Measurement>& samples) {
    std::optional<std::size_t> least;
    for (std::size_t i = 0; i < samples.size(); ++i)
        if (samples[i].delay.count() >= 0 && (!least || samples[i].delay < samples[*least].delay)) least = i;
    return least;
}

bool ExchangeLog::record(Exchange exchange) {
    const std::lock_guard lock(mutex_);
    for (const auto& old : exchanges_)
        if (equal(old.nonce, exchange.nonce)) return false;
    if (exchanges_.size() >= capacity_ && !exchanges_.empty()) exchanges_.pop_front();
    exchanges_.push_back(std::move(exchange));
    return true;
}

std::optional<Exchange> ExchangeLog::take(View nonce, MonoTime now) {
    const std::lock_guard lock(mutex_);
    while (!exchanges_.empty() && now - exchanges_.front().received.before > lifetime_)
        exchanges_.pop_front();
    const auto found = std::find_if(exchanges_.begin(), exchanges_.end(),
                                    [&](const Exchange& one) { return equal(one.nonce, nonce); });
    if (found == exchanges_.end() || now - found->received.before > lifetime_) return std::nullopt;
    Exchange exchange = std::move(*found);
    exchanges_.erase(found);
    return exchange;
}

std::size_t ExchangeLog::size() const {
    const std::lock_guard lock(mutex_);
    return exchanges_.size();
}

}  // namespace kokuin::tac
