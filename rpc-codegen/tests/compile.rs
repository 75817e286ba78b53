//! Compiles what `golden.rs` generates, and puts a few messages through prost. A warning is an error.
#![deny(warnings)]

mod corpus {
    include!("golden/corpus/mod.rs");
}

mod examples {
    include!("golden/examples/mod.rs");
}

#[test]
fn generated_messages_go_through_prost() {
    use examples::demo::v1::{HelloRequest, Tone};
    use rpc_core::proto::prost::Message;

    let mut request = HelloRequest { name: "Ada".to_owned(), ..Default::default() };
    request.set_tone(Tone::Casual);
    assert_eq!(HelloRequest::decode(request.encode_to_vec().as_slice()).unwrap(), request);
}
