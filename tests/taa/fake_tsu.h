// A TSU's side of the audit exchange on a real listener with TLS and both certificates checked: its clock can
// be shifted, its network slow, its answers wrong; what is delivered is judged by tac::validate, as tsad
// does.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/net/server.h"
#include "tac/clock/reading.h"
#include "tac/exchange.h"
#include "tac/validate.h"
#include "tests/taa/town.h"

namespace town {

class ShiftedClock final : public kokuin::WallClock {
  public:
    [[nodiscard]] kokuin::WallTime now() const override {
        return real_.now() + kokuin::nanoseconds(shift_.load());
    }
    void shift(kokuin::nanoseconds by) { shift_ = by.count(); }

  private:
    kokuin::SystemWallClock real_;
    std::atomic<std::int64_t> shift_{0};
};

class FakeTsu {
  public:
    explicit FakeTsu(const std::string& channel = "channel-tsu", std::uint16_t port = 0) {
        // Read here: what runs on the server's threads asserts nothing (Catch2 takes assertions of one
        // thread).
        rules_.anchors = {folder().certificate("root")};
        for (const auto* name : {"tsu", "other-tsu"}) certificates_.emplace(name, folder().certificate(name));
        auto router = std::make_shared<kokuin::net::Router>();
        router->add("POST", "/audit/clock", [this](const auto& request) { return clock_request(request); });
        router->add("PUT", "/audit/tac", [this](const auto& request) { return delivery(request); },
                    {{}, kokuin::tac::max_body});
        router->add("POST", "/audit/notice", [this](const auto& request) {
            const auto notice = kokuin::tac::Notice::from_json(kokuin::as_text(request.body));
            if (!notice || notice->tsu != "tsu-1") return Response::text(400, "no such notice");
            ++notices;
            return Response::json(200, kokuin::tac::NoticeAnswer().to_json());
        });
        kokuin::net::ServerOptions options;
        options.name = "fake-tsu";
        options.port = port;
        options.tls = kokuin::net::ServerTls{folder().at(channel + ".pem"), folder().at(channel + ".key"),
                                             folder().at("root.pem")};
        server_ = std::make_unique<kokuin::net::Server>(options, router);
        const auto done = server_->start();
        INFO((done ? std::string() : done.error().text));
        REQUIRE(done);
    }
    ~FakeTsu() { server_->stop(); }

    [[nodiscard]] std::uint16_t port() const { return server_->port(); }

    ShiftedClock clock;
    std::atomic<std::int64_t> network_ns{0};  ///< at least this long on the way
    std::atomic<int> slow_requests{1 << 30};  ///< only the first so many are slow
    std::atomic<int> clock_requests{0};
    std::atomic<int> deliveries{0};
    std::atomic<int> notices{0};
    std::atomic<bool> another_nonce{false};
    std::atomic<bool> nonsense{false};
    std::atomic<bool> mute_delivery{false};          ///< PUT is answered with 500
    std::atomic<bool> forget{false};                 ///< no nonce is known at delivery
    std::string certificate = "tsu";                 ///< set before the first request
    std::function<void()> on_delivery = [] {};       ///< called before a delivery is judged; set likewise
    std::function<void()> on_clock_request = [] {};  ///< before a clock is read; set likewise

    std::set<kokuin::Bytes> nonces() {
        const std::lock_guard lock(mutex_);
        return nonces_;
    }
    /// False if fewer than `count` deliveries were answered within 30 s.
    bool delivered(int count) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(30), [&] { return answered_ >= count; });
    }
    /// The same of requests for the clock.
    bool asked(int count) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(30),
                                 [&] { return static_cast<int>(nonces_.size()) >= count; });
    }
    kokuin::Bytes last_tac() {
        const std::lock_guard lock(mutex_);
        return last_tac_;
    }

  private:
    using Response = kokuin::net::Response;

    Response clock_request(const kokuin::net::Request& request) {
        const int number = ++clock_requests;
        auto asked = kokuin::tac::ClockRequest::from_json(kokuin::as_text(request.body));
        if (!asked || asked->tsu != "tsu-1") return Response::text(404, "no such TSU");
        on_clock_request();
        if (number <= slow_requests) std::this_thread::sleep_for(kokuin::nanoseconds(network_ns.load()));
        kokuin::tac::Exchange exchange;
        exchange.nonce = asked->nonce;
        exchange.tsu = asked->tsu;
        exchange.boot_id = stamping_.boot_id();
        exchange.received = exchange.sent = stamping_.read();
        {
            const std::lock_guard lock(mutex_);
            nonces_.insert(asked->nonce);
            changed_.notify_all();
        }
        const auto& digest = certificates_.at(certificate).sha256();
        kokuin::tac::ClockAnswer answer{asked->nonce, exchange.received.wall, exchange.sent.wall,
                                        kokuin::Bytes(digest.begin(), digest.end())};
        if (!log_.record(exchange)) return Response::text(400, "nonce used before");
        if (another_nonce) answer.nonce.front() ^= 1U;
        return Response::json(200, nonsense ? "{\"t2\": \"noon\"}" : answer.to_json());
    }

    Response delivery(const kokuin::net::Request& request) {
        ++deliveries;
        on_delivery();
        if (mute_delivery) return Response::text(500, "out of order");
        auto delivery = kokuin::tac::TacDelivery::from_json(kokuin::as_text(request.body));
        if (!delivery) return Response::text(400, "unreadable");
        const auto now = stamping_.read();
        kokuin::tac::Delivered delivered{delivery->tac, delivery->chain,
                                         log_.take(delivery->nonce, now.after)};
        if (forget) delivered.exchange.reset();
        const auto verdict = kokuin::tac::validate(
            delivered, rules_,
            {certificates_.at(certificate), std::nullopt, stamping_.read(), stamping_.boot_id()});
        kokuin::tac::DeliveryVerdict out;
        if (std::holds_alternative<kokuin::tac::StopOrder>(verdict)) {
            out.kind = kokuin::tac::DeliveryVerdict::Kind::stop_accepted;
        } else if (const auto* refusal = std::get_if<kokuin::tac::Refusal>(&verdict)) {
            out.reason = std::string(kokuin::tac::name(refusal->reason));
            out.text = refusal->text;
        } else {
            out.kind = kokuin::tac::DeliveryVerdict::Kind::accepted;
        }
        const std::lock_guard lock(mutex_);
        last_tac_ = delivery->tac;
        ++answered_;
        changed_.notify_all();
        return Response::json(200, out.to_json());
    }

    kokuin::SystemMonoClock mono_;
    kokuin::tac::clock::SystemBootClock boot_;
    kokuin::tac::clock::StampingClock stamping_{clock, mono_, boot_};
    kokuin::tac::ExchangeLog log_;
    kokuin::tac::Rules rules_;
    std::map<std::string, kokuin::pki::Certificate> certificates_;
    std::mutex mutex_;
    std::condition_variable changed_;
    int answered_ = 0;
    std::set<kokuin::Bytes> nonces_;
    kokuin::Bytes last_tac_;
    std::unique_ptr<kokuin::net::Server> server_;
};

}  // namespace town
