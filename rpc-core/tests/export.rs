//! Services as `.proto` files: what is written, and what is refused. That the files mean what the traits mean is tested
//! with `rpc-codegen`, which reads them.
#![allow(unreachable_pub, dead_code)]

use std::collections::BTreeMap;

use bytes::Bytes;
use rpc_core::export::proto_files;
use rpc_core::{Status, message, service};

/// The text of the only file.
fn text(service: &rpc_core::call::ServiceDescriptor) -> String {
    let files = proto_files([service]).unwrap();
    let own = files.into_iter().find(|file| !file.path.starts_with("rpc/")).unwrap();
    own.text.replace("// Written by Courier from the services of a Rust program.\nsyntax = \"proto3\";\n", "")
}

mod policies {
    use super::*;

    #[service(name = "demo.Policies")]
    pub trait Policies {
        async fn nothing(&self) -> Result<(), Status>;
        /// Twice is once.
        #[rpc(idempotent, timeout = "1500ms")]
        async fn get(&self, key: String) -> Result<Option<u64>, Status>;
        #[rpc(oneway, timeout = "2m")]
        async fn tell(&self, lines: Vec<String>) -> Result<(), Status>;
        #[rpc(name = "type", timeout = "5us")]
        async fn r#type(&self, key: String) -> Result<BTreeMap<i32, Vec<u8>>, Status>;
    }
}

#[test]
fn policies_are_options_and_their_file_comes_along() {
    assert_eq!(
        text(&policies::policies::DESCRIPTOR),
        r#"
package demo;

import "google/protobuf/empty.proto";
import "rpc/v1/options.proto";

service Policies {
  rpc Nothing(google.protobuf.Empty) returns (google.protobuf.Empty);

  // Twice is once.
  rpc Get(GetRequest) returns (GetReply) {
    option idempotency_level = IDEMPOTENT;
    option (rpc.v1.method).timeout = "1500ms";
  }
  rpc Tell(TellRequest) returns (google.protobuf.Empty) {
    option (rpc.v1.method).oneway = true;
    option (rpc.v1.method).timeout = "2m";
  }
  rpc type(typeRequest) returns (typeReply) {
    option (rpc.v1.method).timeout = "5us";
  }
}

message GetRequest {
  string key = 1;
}

message GetReply {
  optional uint64 value = 1;
}

message TellRequest {
  repeated string lines = 1;
}

message typeRequest {
  string key = 1;
}

message typeReply {
  map<int32, bytes> value = 1;
}
"#
    );
    let files = proto_files([&policies::policies::DESCRIPTOR]).unwrap();
    let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["demo/policies.proto", "rpc/v1/options.proto"]);
    assert!(files[1].text.contains("message MethodPolicy {"));
}

mod types {
    use super::*;

    /// A drawing.
    ///
    /// Of many   shapes.
    #[message(reserved(3, 4))]
    pub struct Drawing {
        /// What it is called.
        pub title: String,
        pub shapes: Vec<Shape>,
        #[message(tag = 9, name = "Back_ground")]
        pub background: Option<Color>,
        pub layers: BTreeMap<String, Self>,
        pub frame: Frame,
        pub preview: Option<Bytes>,
        pub level: Level,
        pub parent: Option<Box<Self>>,
    }

    #[message]
    pub struct Frame {}

    #[message]
    pub enum Shape {
        /// Round.
        Circle {
            radius: f64,
            color: Color,
        },
        Text(String),
        Framed(Frame),
        Nothing,
        Kind(bool),
    }

    #[message]
    pub enum Color {
        Red = 1,
        Green = -2,
        Black = 0,
    }

    /// Starts where people do.
    #[message]
    pub enum Level {
        First = 1,
        Second,
        #[message(other)]
        More(i32),
    }

    #[service(name = "art.v1.Gallery")]
    pub trait Gallery {
        async fn show(&self, drawing: Drawing) -> Result<Drawing, Status>;
    }
}

#[test]
fn messages_enums_and_oneofs_are_written_as_people_do() {
    assert_eq!(
        text(&types::gallery::DESCRIPTOR),
        r#"
package art.v1;

service Gallery {
  rpc Show(Drawing) returns (Drawing);
}

// A drawing.
//
// Of many   shapes.
message Drawing {
  reserved 3, 4;
  // What it is called.
  string title = 1;
  repeated Shape shapes = 2;
  optional Color Back_ground = 9;
  map<string, Drawing> layers = 10;
  Frame frame = 11; // Must be set.
  optional bytes preview = 12;
  Level level = 13;
  Drawing parent = 14;
}

message Shape {
  oneof kind_ {
    // Round.
    Circle circle = 1;
    string text = 2;
    Frame framed = 3;
    google.protobuf.Empty nothing = 4;
    bool kind = 5;
  }

  message Circle {
    double radius = 1;
    Color color = 2;
  }
}

enum Color {
  COLOR_BLACK = 0;
  COLOR_RED = 1;
  COLOR_GREEN = -2;
}

message Frame {}

// Starts where people do.
enum Level {
  // What is not set. The server refuses it.
  LEVEL_UNSPECIFIED = 0;
  LEVEL_FIRST = 1;
  LEVEL_SECOND = 2;
}
"#
        .replace("package art.v1;\n", "package art.v1;\n\nimport \"google/protobuf/empty.proto\";\n")
    );
}

mod packages {
    use super::*;

    #[message(name = "money.v1.Amount")]
    pub struct Amount {
        pub cents: i64,
        pub currency: Currency,
    }

    // Without a package of its own, in that of what it was met in.
    #[message]
    pub enum Currency {
        Eur,
        Usd,
    }

    #[message(name = "shop.money.v1.Receipt")]
    pub struct Receipt {
        pub total: Amount,
    }

    #[service(name = "shop.v1.Till")]
    pub trait Till {
        async fn pay(&self, amount: Amount) -> Result<Receipt, Status>;
    }

    #[service(name = "shop.v1.Safe")]
    pub trait Safe {
        async fn pay(&self, amount: Amount, twice: bool) -> Result<bool, Status>;
    }

    #[service(name = "shop.v1.Cellar")]
    pub trait Cellar {
        async fn pay(&self, amount: Amount, twice: bool) -> Result<bool, Status>;
    }
}

#[test]
fn each_package_has_a_file_and_imports_what_it_needs() {
    use packages::{cellar, safe, till};

    let files = proto_files([&till::DESCRIPTOR, &safe::DESCRIPTOR, &cellar::DESCRIPTOR]).unwrap();
    let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["money/v1/messages.proto", "shop/money/v1/messages.proto", "shop/v1/till.proto"]);
    assert!(files[0].text.contains(
        "package money.v1;\n\nmessage Amount {\n  int64 cents = 1;\n  Currency currency = 2;\n}\n"
    ));
    // `money` alone would be looked for in `shop.money` first.
    assert!(files[1].text.contains("  .money.v1.Amount total = 1; // Must be set.\n"), "{}", files[1].text);
    assert!(files[1].text.contains("import \"money/v1/messages.proto\";\n"));
    assert!(files[2].text.contains("  rpc Pay(.money.v1.Amount) returns (shop.money.v1.Receipt);\n"));
    // Requests of one name in one package: the second takes its service's name before it.
    assert!(
        files[2].text.contains("message PayRequest {")
            && files[2].text.contains("message CellarPayRequest {")
    );
}

mod bare {
    use super::*;

    #[message]
    pub struct HelloRequest {
        pub name: String,
    }

    #[message]
    #[expect(non_camel_case_types, reason = "what protobuf has for its own")]
    pub struct string {
        pub text: String,
    }

    #[service]
    pub trait Greeter {
        async fn hello(&self, request: HelloRequest, string: string) -> Result<string, Status>;
    }
}

#[test]
fn without_a_package_and_with_taken_or_reserved_names() {
    let files = proto_files([&bare::greeter::DESCRIPTOR]).unwrap();
    assert_eq!(files[0].path, "greeter.proto");
    assert_eq!(
        text(&bare::greeter::DESCRIPTOR),
        r#"
service Greeter {
  rpc Hello(GreeterHelloRequest) returns (.string);
}

message GreeterHelloRequest {
  HelloRequest request = 1; // Must be set.
  .string string = 2; // Must be set.
}

message HelloRequest {
  string name = 1;
}

message string {
  string text = 1;
}
"#
    );
}

mod refused {
    use super::*;

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct FromProto {
        #[prost(string, tag = "1")]
        pub text: String,
    }

    #[derive(serde::Serialize, serde::Deserialize)]
    pub struct FromSerde {
        pub text: String,
    }

    #[service(codecs(Protobuf))]
    pub trait Foreign {
        async fn one(&self, request: FromProto) -> Result<(), Status>;
    }

    #[service(codecs(Json))]
    pub trait Loose {
        async fn one(&self) -> Result<FromSerde, Status>;
    }

    #[message(name = "a.One")]
    pub struct One {
        pub two: Two,
    }

    #[message(name = "b.Two")]
    pub struct Two {
        pub one: Option<Box<One>>,
    }

    #[service(name = "c.Circle")]
    pub trait Circle {
        async fn one(&self) -> Result<One, Status>;
    }

    pub mod other {
        use super::*;

        #[message(name = "a.One")]
        pub struct Same {
            pub number: i32,
        }

        #[message]
        pub struct Twice {
            pub a: Box<One>,
            pub b: Same,
        }

        #[service(name = "a.Twice")]
        pub trait Clash {
            async fn one(&self) -> Result<Twice, Status>;
        }
    }
}

#[test]
fn what_a_proto_cannot_say_is_refused_with_a_mend() {
    let refusal = |service| proto_files([service]).unwrap_err().to_string();
    assert_eq!(
        refusal(&refused::foreign::DESCRIPTOR),
        "the request of `Foreign/One` has no description: it comes from a .proto file, which says what it is, or only serde \
         knows it; a type with `#[message]` has one"
    );
    assert!(refusal(&refused::loose::DESCRIPTOR).starts_with("the reply of `Loose/One` has no description"));
    assert_eq!(
        refusal(&refused::circle::DESCRIPTOR),
        "the packages `a`, `b`, `c` use types of each other, and .proto files cannot: move some of the types with \
         `#[message(name = \"…\")]`"
    );
    let clash = refusal(&refused::other::clash::DESCRIPTOR);
    assert!(clash.contains("two types have the name `a.One`: give one of them another"), "{clash}");
    assert!(clash.contains("two things have the name `a.Twice` in a .proto"), "{clash}");
}
