//! Compiles what `golden.rs` generates, and puts a few messages through prost. A warning is an error.
#![deny(warnings)]

// What is in no package stands right here, and so under the lints of this crate.
#[allow(unreachable_pub)]
mod corpus {
    include!("golden/corpus/mod.rs");
}

mod real {
    include!("golden/real/mod.rs");
}

mod streams {
    include!("golden/streams/mod.rs");
}

mod examples {
    include!("golden/examples/mod.rs");
}

use rpc_core::proto::prost::Message;

#[test]
fn generated_messages_go_through_prost() {
    use examples::demo::v1::{HelloRequest, Tone};

    let mut request = HelloRequest { name: "Ada".to_owned(), ..Default::default() };
    request.set_tone(Tone::Casual);
    assert_eq!(HelloRequest::decode(request.encode_to_vec().as_slice()).unwrap(), request);
}

#[test]
fn descriptions_have_the_names_and_policies_of_the_proto() {
    use corpus::custom::options::policies::DESCRIPTOR;
    use std::time::Duration;

    assert_eq!(DESCRIPTOR.name, "custom.options.Policies");
    let names: Vec<_> = DESCRIPTOR.methods.iter().map(|method| method.name).collect();
    assert_eq!(names, ["Plain", "Idempotent", "Safe", "Ours", "Tell"]);
    let idempotent: Vec<_> = DESCRIPTOR.methods.iter().map(|method| method.idempotent).collect();
    assert_eq!(idempotent, [false, true, true, true, false]);
    assert_eq!(DESCRIPTOR.methods[3].timeout, Some(Duration::from_millis(250)));
    assert!(DESCRIPTOR.methods[4].oneway);
}

#[test]
fn shapes_are_those_of_the_proto() {
    use rpc_core::call::Shape::{BidiStreaming, ClientStreaming, ServerStreaming, Unary};

    let shapes = |service: &rpc_core::call::ServiceDescriptor| {
        service.methods.iter().map(|method| method.shape).collect::<Vec<_>>()
    };
    assert_eq!(
        shapes(&streams::streams::shapes::DESCRIPTOR)[..8],
        [
            Unary,
            ClientStreaming,
            ServerStreaming,
            BidiStreaming,
            ServerStreaming,
            ClientStreaming,
            BidiStreaming,
            BidiStreaming
        ]
    );
    assert_eq!(shapes(&real::etcdserverpb::watch::DESCRIPTOR), [BidiStreaming]);
    assert_eq!(shapes(&real::grpc::testing::benchmark_service::DESCRIPTOR).len(), 5);
}

#[test]
fn odd_method_names_travel_as_written() {
    use corpus::r#type::self_::crate_::r#async::r#trait::DESCRIPTOR;

    let names: Vec<_> = DESCRIPTOR.methods.iter().map(|method| method.name).collect();
    assert_eq!(names[..4], ["Self", "Super", "Crate", "Type"]);
    assert_eq!(names[20..], ["getURL", "lower_case", "HTTP2Push"]);
}

#[test]
fn a_wrapper_and_the_argument_that_it_becomes_have_the_same_bytes() {
    use corpus::well::known::direct::{Blob, Int64, Text};
    use rpc_core::Method;

    fn request<M: Method>(value: impl Message) -> M::Request
    where
        M::Request: rpc_core::message::Message,
    {
        use rpc_core::message::Message as _;
        let request = M::Request::decode(value.encode_to_vec().into()).unwrap();
        let mut bytes = bytes::BytesMut::new();
        request.encode(&mut bytes);
        assert_eq!(bytes, value.encode_to_vec());
        request
    }

    request::<Text>("text".to_owned());
    request::<Text>(String::new());
    request::<Blob>(vec![1_u8, 2]);
    request::<Int64>(-1_i64);
}

#[test]
fn old_defaults_are_kept() {
    use corpus::old::{Level, Old};

    let old = Old::default();
    assert_eq!(old.name(), "a \"quoted\" \n name \t\\ ü");
    assert_eq!(old.raw(), b"\x01\xff\"z");
    assert_eq!((old.number(), old.real(), old.flag()), (-7, f64::INFINITY, true));
    assert!(old.odd().is_nan());
    assert_eq!((old.level(), old.needed_level()), (Level::High, Level::Low));
}
