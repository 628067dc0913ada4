#include "base/net/head.h"

#include <catch2/catch.hpp>

#include "base/net/router.h"

using namespace kokuin;
using namespace kokuin::net;

namespace {

RequestHead good(std::string_view head) {
    auto parsed = parse_request_head(head);
    if (!parsed) FAIL(parsed.error().text);
    return std::move(*parsed);
}
int status_of(std::string_view head) {
    const auto parsed = parse_request_head(head);
    return parsed ? 200 : parsed.error().status;
}
int status_of_target(std::string_view target) {
    return status_of("GET " + std::string(target) + " HTTP/1.1\r\nHost: x\r\n\r\n");
}
int status_of_fields(std::string_view fields) {
    return status_of("POST / HTTP/1.1\r\nHost: x\r\n" + std::string(fields) + "\r\n");
}

}  // namespace

TEST_CASE("head: a request") {
    const auto head = good(
        "POST /tsa/a%322?x=%00 HTTP/1.1\r\nhOST: h\r\nContent-Type: Application/Timestamp-Query ; "
        "charset=x\r\n"
        "Content-Length:  12 \r\nExpect: 100-Continue\r\nX-Other:\r\n\r\n");
    CHECK(head.method == "POST");
    CHECK(head.target == "/tsa/a%322?x=%00");
    CHECK(head.path == "/tsa/a22");
    CHECK(head.content_type == "application/timestamp-query");
    CHECK(head.framing.length == 12);
    CHECK_FALSE(head.framing.chunked);
    CHECK(head.expect_continue);
    CHECK(head.keep_alive);
    CHECK(find_field(head.fields, "host") == "h");
    CHECK(find_field(head.fields, "x-other") == "");
}

TEST_CASE("head: who keeps the connection") {
    CHECK(good("GET / HTTP/1.1\r\nHost: x\r\n\r\n").keep_alive);
    CHECK_FALSE(good("GET / HTTP/1.1\r\nHost: x\r\nConnection: Foo, CLOSE\r\n\r\n").keep_alive);
    CHECK_FALSE(good("GET / HTTP/1.0\r\n\r\n").keep_alive);
    CHECK(good("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keep_alive);
    CHECK(good("GET / HTTP/1.0\r\nConnection: Keep-Alive, x\r\n\r\n").keep_alive);
    CHECK_FALSE(good("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n").keep_alive);
}

TEST_CASE("head: targets") {
    CHECK(good("GET http://host:80/a/b HTTP/1.1\r\nHost: x\r\n\r\n").path == "/a/b");
    CHECK(good("GET HTTP://host HTTP/1.1\r\nHost: x\r\n\r\n").path == "/");
    CHECK(good("GET http://host?q HTTP/1.1\r\nHost: x\r\n\r\n").path == "/");
    CHECK(good("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").path == "*");
    CHECK(good("GET /... HTTP/1.1\r\nHost: x\r\n\r\n").path == "/...");
    for (const auto* bad : {"a", "/..", "/a/../b", "/%2e%2E/b", "/./", "/a%2Fb", "/%00", "/%0a", "/%", "/%4",
                            "/%zz", "/#f", "http:///a", "/\x80"}) {
        INFO(bad);
        CHECK(status_of_target(bad) == 400);
    }
    CHECK(status_of_target('/' + std::string(2047, 'a')) == 200);
    CHECK(status_of_target('/' + std::string(2048, 'a')) == 414);
}

TEST_CASE("head: what is refused, and how") {
    CHECK(status_of("GET / HTTP/1.1\r\n\r\n") == 400);
    CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n") == 400);
    CHECK(status_of("GET / HTTP/1.1\nHost: a\n\n") == 400);
    CHECK(status_of("GET  / HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
    CHECK(status_of("GET /\r\n\r\n") == 400);
    CHECK(status_of("G@T / HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
    CHECK(status_of(" / HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
    CHECK(status_of("PRI * HTTP/2.0\r\n\r\n") == 505);
    CHECK(status_of("GET / HTTP/1.2\r\nHost: a\r\n\r\n") == 505);
    CHECK(status_of("GET / http/1.1\r\nHost: a\r\n\r\n") == 400);
    CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n") == 400);
    CHECK(status_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 400);

    CHECK(status_of_fields("Content-Length: 1\r\n") == 200);
    CHECK(status_of_fields("Transfer-Encoding: Chunked\r\n") == 200);
    for (const auto* bad :
         {"Content-Length: 1\r\nContent-Length: 1\r\n", "Content-Length: 1, 1\r\n", "Content-Length: -1\r\n",
          "Content-Length: +1\r\n", "Content-Length: 0x1\r\n", "Content-Length:\r\n",
          "Content-Length: 99999999999999999999\r\n", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
          "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "X : 1\r\n", " X: 1\r\n",
          "A: 1\r\n folded\r\n", "X\r\n", ": 1\r\n", "X: a\rb\r\n", "X: a\nY: b\r\n", "X: \x01\r\n",
          "Content-Type: a/b\r\nContent-Type: a/b\r\n"}) {
        INFO(bad);
        CHECK(status_of_fields(bad) == 400);
    }
    CHECK(status_of_fields("Transfer-Encoding: gzip\r\n") == 501);
    CHECK(status_of_fields("Transfer-Encoding: gzip, chunked\r\n") == 501);
    CHECK(status_of_fields("Content-Length: 1\r\nContent-Encoding: gzip\r\n") == 415);
    CHECK(status_of_fields("Content-Encoding: gzip\r\n") == 200);
    CHECK(status_of_fields("Expect: miracles\r\n") == 417);
    std::string many;
    for (int i = 0; i < 99; ++i) many += "X: 1\r\n";
    CHECK(status_of_fields(many) == 200);
    CHECK(status_of_fields(many + "X: 1\r\n") == 431);
    CHECK(status_of_fields(std::string("X: a\0b\r\n", 8)) == 400);
}

TEST_CASE("head: where it ends") {
    CHECK_FALSE(find_head_end(""));
    CHECK_FALSE(find_head_end("GET / HTTP/1.1\r\nHost: x\r\n"));
    CHECK(find_head_end("A\r\n\r\nbody") == 5);
    CHECK(find_head_end("A\n\nbody") == 3);
    CHECK(find_head_end("A\n\r\nbody") == 4);
}

TEST_CASE("head: a response") {
    const auto head =
        parse_response_head("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nContent-Type: A/b;c\r\n\r\n");
    REQUIRE(head.ok());
    CHECK(head->status == 404);
    CHECK(head->content_type == "a/b");
    CHECK(head->framing.length == 3);
    CHECK(head->keep_alive);
    CHECK(parse_response_head("HTTP/1.0 200\r\n\r\n").ok());
    for (const auto* bad : {"HTTP/1.1 20 OK\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n",
                            "HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.1 600 OK\r\n\r\n", "\r\n\r\n",
                            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", "HTTP/1.1 -20 OK\r\n\r\n"}) {
        INFO(bad);
        CHECK_FALSE(parse_response_head(bad).ok());
    }
}

TEST_CASE("url") {
    const auto url = parse_url("https://tsa.example:3163/a?b=c");
    REQUIRE(url.ok());
    CHECK(url->https);
    CHECK(url->host == "tsa.example");
    CHECK(url->port == 3163);
    CHECK(url->path == "/a?b=c");
    CHECK(parse_url("http://h")->port == 80);
    CHECK(parse_url("http://h")->path == "/");
    CHECK(parse_url("https://h?x")->path == "/?x");
    CHECK(parse_url("https://[::1]:5/x")->host == "::1");
    CHECK(parse_url("https://[::1]/x")->port == 443);
    for (const auto* bad :
         {"", "h", "ftp://h", "http://", "http://:1", "http://u@h", "http://h:", "http://h:0",
          "http://h:65536", "http://h:1x", "http://h/a b", "http://h/#f", "http://[::1", "http://[::1]x"}) {
        INFO(bad);
        CHECK_FALSE(parse_url(bad).ok());
    }
}

TEST_CASE("router: the most literal pattern wins; 404, 405, 415") {
    Router router;
    const auto named = [](const char* name) {
        return [name](const Request&) { return Response::text(200, name); };
    };
    router.add("GET", "/tsa/{policy}", named("one"));
    router.add("GET", "/tsa/list", named("literal"));
    router.add("GET", "/tsa/{rest...}", named("rest"));
    router.add("POST", "/tsa/list", named("post"), {{"a/b", "c/d"}, 5});
    router.add("GET", "/", named("root"));
    const auto where = [&](const char* method, const char* path, const char* type = "") -> std::string {
        const auto match = router.match(method, path, type);
        if (match.refusal) return std::to_string(match.refusal->status);
        auto text = as_text(std::get<Handler>(*match.handler)({}).body);
        text.pop_back();
        for (const auto& [key, value] : match.parameters) text += ' ' + key + '=' + value;
        return text;
    };
    CHECK(where("GET", "/") == "root");
    CHECK(where("HEAD", "/") == "root");
    CHECK(where("GET", "/tsa/list") == "literal");
    CHECK(where("GET", "/tsa/a2") == "one policy=a2");
    CHECK(where("GET", "/tsa/a/b") == "rest rest=a/b");
    CHECK(where("GET", "/tsa/") == "rest rest=");
    CHECK(where("GET", "/tsa") == "404");
    CHECK(where("GET", "/tsb") == "404");
    CHECK(where("GET", "*") == "404");
    CHECK(where("POST", "/tsa/list", "c/d") == "post");
    CHECK(where("POST", "/tsa/list", "c/e") == "415");
    CHECK(where("POST", "/tsa/list") == "415");
    CHECK(where("BREW", "/tsa/list") == "405");
    CHECK(router.match("BREW", "/tsa/list", "").refusal->field("allow") == "GET, HEAD, POST");
    CHECK(router.match("POST", "/", "").refusal->field("allow") == "GET, HEAD");
    CHECK_THROWS_AS(router.add("GET", "/", named("x")), std::logic_error);
    CHECK_THROWS_AS(router.add("HEAD", "/x", named("x")), std::logic_error);
    CHECK_THROWS_AS(router.add("GET", "x", named("x")), std::logic_error);
    CHECK_THROWS_AS(router.add("GET", "/{x", named("x")), std::logic_error);
    CHECK_THROWS_AS(router.add("GET", "/{}", named("x")), std::logic_error);
    CHECK_THROWS_AS(router.add("GET", "/{x...}/y", named("x")), std::logic_error);
}
