//! Heads as browsers send them, and heads as smugglers send them.

use super::*;

const LIMITS: HeadLimits = HeadLimits { head_bytes_max: 15 * 1024, headers_max: 64 };

fn parse_head(bytes: &[u8], limits: HeadLimits) -> Result<Parsed, Refusal> {
    HeadScanner::default().parse(bytes, limits)
}

const HANDSHAKE: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a.example\r\n\
    Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn parse(text: &str) -> Result<Parsed, Refusal> {
    parse_head(text.as_bytes(), LIMITS)
}

fn head(text: &str) -> RequestHead {
    match parse(text) {
        Ok(Parsed::Head { head, .. }) => head,
        other => panic!("{other:?}"),
    }
}

fn get(target: &str, headers: &str) -> RequestHead {
    head(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n{headers}\r\n"))
}

fn refused(text: &str) -> (u16, &'static str) {
    parse(text)
        .map(|parsed| panic!("{parsed:?}"))
        .map_err(|refusal| (refusal.status, refusal.violation.as_str()))
        .unwrap_err()
}

#[test]
fn a_connection_is_kept_where_both_sides_know_where_the_next_request_starts() {
    let post = |headers: &str| head(&format!("POST /x HTTP/1.1\r\nHost: a\r\n{headers}\r\n"));
    assert!(get("/", "").keeps_alive() && get("/", "Connection: keep-alive\r\n").keeps_alive());
    assert!(post("Content-Length: 5\r\n").keeps_alive());
    assert!(post("Transfer-Encoding: chunked\r\n").keeps_alive());
    assert!(!get("/", "Connection: x, Close\r\n").keeps_alive());
    assert!(!head("GET / HTTP/1.0\r\n\r\n").keeps_alive());
    let with_body = "OPTIONS / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    assert!(!head(with_body).keeps_alive(), "nobody reads that body");
}

#[test]
fn only_a_client_that_says_so_waits_for_a_word() {
    assert!(get("/", "Expect: 100-Continue\r\n").expects_continue());
    assert!(!get("/", "").expects_continue() && !get("/", "Expect: tea\r\n").expects_continue());
}

#[test]
fn a_handshake_parses_into_its_parts() {
    let head = head(HANDSHAKE);
    assert_eq!((head.method, head.version_minor), (Method::Get, 1));
    assert_eq!((&head.path[..], head.query.as_deref()), ("/socket.io/", Some("EIO=4&transport=websocket")));
    assert_eq!((head.host.as_deref(), head.body), (Some("a.example"), BodyKind::None));
    assert_eq!(head.header("upgrade"), Some("websocket"));
    let key = head.wants_websocket().unwrap().unwrap();
    assert_eq!(key.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn a_head_cut_at_every_byte_is_incomplete_and_then_the_same() {
    let wire = format!("{HANDSHAKE}after");
    let mut scanner = HeadScanner::default();
    for cut in 0..HANDSHAKE.len() {
        let so_far = &wire.as_bytes()[..cut];
        assert_eq!(scanner.parse(so_far, LIMITS), Ok(Parsed::Incomplete));
        assert_eq!(parse_head(so_far, LIMITS), Ok(Parsed::Incomplete));
        assert!(cut - scanner.scanned <= 1, "the scan keeps up");
    }
    let expected = Ok(Parsed::Head { head: head(HANDSHAKE), consumed: HANDSHAKE.len() });
    assert_eq!(scanner.parse(wire.as_bytes(), LIMITS), expected);
}

#[test]
fn what_follows_the_head_is_left_to_the_caller() {
    let wire = format!("{HANDSHAKE}\x01\n\r\nGET");
    let Ok(Parsed::Head { consumed, .. }) = parse(&wire) else { panic!("a head") };
    assert_eq!(&wire[consumed..], "\x01\n\r\nGET");
}

#[test]
fn smuggling_is_refused() {
    let post = |headers: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n");
    for (wire, kind) in [
        ("GET / HTTP/1.1\nHost: a\r\n\r\n".to_owned(), "bare_lf"),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n".to_owned(), "bare_lf"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n".to_owned(), "bare_lf"),
        ("GET / HTTP/1.1\rHost: a\r\n\r\n".to_owned(), "bare_cr"),
        ("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n".to_owned(), "bare_cr"),
        (post("X: 1\r\n folded"), "bad_header"),
        (post("X: 1\r\n\tfolded"), "bad_header"),
        (post(" X: 1"), "bad_header"),
        (post("X : 1"), "bad_header"),
        (post("X\t: 1"), "bad_header"),
        (post("no colon"), "bad_header"),
        (post(": no name"), "bad_header"),
        (post("X: a\0b"), "bad_header"),
        (post("X: \x1b"), "bad_header"),
        (post("Content-Length: 3\r\nTransfer-Encoding: chunked"), "length_and_coding"),
        (post("Content-Length: 3\r\nContent-Length: 3"), "repeated_header"),
        (post("Transfer-Encoding: chunked\r\ntransfer-encoding: chunked"), "repeated_header"),
        (post("Host: b"), "repeated_header"),
        (post("Origin: http://a\r\nOrigin: http://b"), "repeated_header"),
        (post("Content-Length: 3, 3"), "bad_length"),
        (post("Content-Length: +3"), "bad_length"),
        (post("Content-Length: -3"), "bad_length"),
        (post("Content-Length: 0x3"), "bad_length"),
        (post("Content-Length: 3 3"), "bad_length"),
        (post("Content-Length:"), "bad_length"),
        (post("Content-Length: 99999999999999999999"), "bad_length"),
        (post("Transfer-Encoding: gzip, chunked"), "bad_coding"),
        (post("Transfer-Encoding: identity"), "bad_coding"),
        (post("Transfer-Encoding: \x0bchunked"), "bad_header"),
        (post("Transfer-Encoding:"), "bad_coding"),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), "bad_coding"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n".to_owned(), "body_on_get"),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), "body_on_get"),
        ("HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n".to_owned(), "body_on_get"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "no_host"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(), "bad_host"),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".to_owned(), "bad_host"),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n".to_owned(), "bad_host"),
        ("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "bad_target"),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "bad_target"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "bad_target"),
        ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "bad_target"),
        ("GET /ä HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "bad_target"),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "bad_request_line"),
        ("GET / x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "bad_version"),
        ("GET /\r\nHost: a\r\n\r\n".to_owned(), "bad_request_line"),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "bad_request_line"),
        ("\x16\x03\x01".to_owned(), "tls_to_plain"),
    ] {
        let (status, refused_kind) = refused(&wire);
        assert_eq!(refused_kind, kind, "{wire:?}");
        assert!(status == 400 || kind == "bad_version", "{wire:?}");
    }
    assert_eq!(refused("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), (505, "bad_version"));
}

#[test]
fn a_head_may_be_as_long_as_the_limit_and_no_longer() {
    let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
    let with_head_of =
        |bytes: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(bytes - frame));
    assert!(matches!(parse(&with_head_of(15 * 1024)), Ok(Parsed::Head { consumed: 15_360, .. })));
    assert_eq!(refused(&with_head_of(15 * 1024 + 1)), (431, "head_too_long"));
    assert_eq!(refused(&format!("GET /{}", "x".repeat(15 * 1024))), (431, "head_too_long"));
}

#[test]
fn a_head_may_have_as_many_headers_as_the_limit_and_no_more() {
    assert_eq!(get("/", &"X: 1\r\n".repeat(63)).headers.len(), 64);
    let over = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(64));
    assert_eq!(refused(&over), (431, "too_many_headers"));
}

#[test]
fn a_body_is_framed_one_way() {
    let post = |headers: &str| head(&format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n")).body;
    assert_eq!(post("Content-Length: 0003\r\n"), BodyKind::Length(3));
    assert_eq!(post("Content-Length: 0\r\n"), BodyKind::Length(0));
    assert_eq!(post("Transfer-Encoding: Chunked\r\n"), BodyKind::Chunked);
    assert_eq!(post(""), BodyKind::None);
    assert_eq!(get("/", "Content-Length: 0\r\n").body, BodyKind::None);
}

#[test]
fn old_clients_and_odd_values_are_read() {
    let old = head("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((old.version_minor, old.host), (0, None));
    let latin = b"GET / HTTP/1.1\r\nHost: a\r\nX:  caf\xe9\t\r\n\r\n";
    let Ok(Parsed::Head { head, .. }) = parse_head(latin, LIMITS) else { panic!("a head") };
    assert_eq!(head.header("x"), Some("caf\u{fffd}"));
}

#[test]
fn query_parameters_are_decoded() {
    let head = get("/p?sid=s1.a-b_c&name=a%20b+c%C3%A4&empty=&flag&bad=%ff&odd=1%2&s%69d=late&x=a=b", "");
    let param = |name| head.query_param(name).map(Cow::into_owned);
    assert_eq!(param("sid").as_deref(), Some("s1.a-b_c"));
    assert_eq!(param("name").as_deref(), Some("a b cä"));
    assert_eq!(param("empty").as_deref(), Some(""));
    assert_eq!(param("flag").as_deref(), Some(""));
    assert_eq!(param("bad").as_deref(), Some("\u{fffd}"), "present, and equal to nothing real");
    assert_eq!(param("odd").as_deref(), Some("1%2"));
    assert_eq!(param("x").as_deref(), Some("a=b"));
    assert_eq!(param("missing"), None);
    assert_eq!(get("/p", "").query_param("sid"), None);
    assert_eq!(get("/p?s%69d=early", "").query_param("sid").as_deref(), Some("early"));
}

#[test]
fn only_a_proper_handshake_becomes_a_websocket() {
    for (from, to, status) in [
        ("GET", "POST", 400),
        ("HTTP/1.1", "HTTP/1.0", 400),
        ("keep-alive, Upgrade", "keep-alive", 400),
        ("Version: 13", "Version: 8", 426),
        ("Sec-WebSocket-Version: 13\r\n", "", 426),
        ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j!Q==", 400),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400),
    ] {
        let head = head(&HANDSHAKE.replacen(from, to, 1));
        assert_eq!(head.wants_websocket().unwrap_err().status, status, "{from} to {to}");
    }
    for other in [
        HANDSHAKE.replace("Upgrade: websocket", "Upgrade: h2c"),
        HANDSHAKE.replace("Upgrade: websocket", "X: y"),
    ] {
        assert_eq!(head(&other).wants_websocket(), Ok(None));
    }
    assert!(
        head(&HANDSHAKE.replace("Upgrade: websocket", "UPGRADE: h2c, WebSocket"))
            .wants_websocket()
            .unwrap()
            .is_some()
    );
}

#[test]
fn a_head_in_a_log_shows_no_secret() {
    let head = get("/p?sid=secret", "Cookie: secret\r\n");
    assert_eq!(format!("{head:?}"), r#"RequestHead(Get "/p" None)"#);
}

#[test]
fn the_last_forwarded_address_counts() {
    let last = |headers: &str| get("/", headers).forwarded_for_last().map(|address| address.to_string());
    assert_eq!(last("X-Forwarded-For: 6.6.6.6, 10.0.0.1\r\n").as_deref(), Some("10.0.0.1"));
    assert_eq!(last("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: ::1\r\n").as_deref(), Some("::1"));
    assert_eq!(last("X-Forwarded-For: 10.0.0.2:80\r\n").as_deref(), Some("10.0.0.2"));
    assert_eq!(last("X-Forwarded-For: 10.0.0.2, unknown\r\n"), None);
    assert_eq!(last(""), None);
}
