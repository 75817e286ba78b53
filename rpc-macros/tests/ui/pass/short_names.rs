//! Things of the user's may have names that generated code would use itself.

#![deny(warnings)]
#![allow(dead_code)]

mod s {
    #[rpc_core::message]
    #[derive(Debug)]
    pub struct S {
        pub x: u32,
    }
}

mod d {
    #[rpc_core::message]
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub enum D {
        X,
        Y,
    }
}

mod a {
    #[rpc_core::message]
    #[derive(Debug)]
    pub struct A {
        pub x: u32,
    }

    #[rpc_core::message]
    #[derive(Debug)]
    pub struct Holds {
        pub a: Option<A>,
        pub many: Vec<A>,
    }
}

mod one {
    use super::{a::A, d::D, s::S};

    #[rpc_core::message]
    #[derive(Debug)]
    pub enum Either {
        First(S),
        Second(A),
        Third { d: D },
    }
}

/// Every letter as the name of a service, of each kind of message and of an error, used wherever one can stand.
mod letters {
    use std::collections::HashMap;

    use rpc_core::{RpcError, Status, Streaming, message, service};

    macro_rules! letters {
        ($($letter:ident)*) => {$(
            const _: () = {
                #[service]
                trait $letter {
                    async fn one(&self, text: String) -> Result<String, Status>;
                    async fn streams(&self, numbers: Streaming<u32>) -> Result<Streaming<u32>, Status>;
                }
            };

            const _: () = {
                #[message]
                struct $letter {
                    again: Option<Box<$letter>>,
                    map: HashMap<String, $letter>,
                }

                #[service]
                trait Service {
                    async fn one(&self, one: $letter) -> Result<Vec<$letter>, Status>;
                    async fn streams(&self, items: Streaming<$letter>) -> Result<Streaming<$letter>, Status>;
                }
            };

            const _: () = {
                #[message]
                enum $letter {
                    One(u32),
                    Two { again: Option<Box<$letter>> },
                    Three,
                }
            };

            const _: () = {
                #[message]
                enum $letter {
                    One,
                    Two,
                }

                #[message]
                struct Holds {
                    one: $letter,
                    list: Vec<$letter>,
                }

                #[message]
                enum Either {
                    One($letter),
                    Two { two: $letter },
                }
            };

            const _: () = {
                #[derive(Debug, RpcError)]
                enum $letter {
                    #[rpc(code = "not_found")]
                    None { one: u32 },
                    #[rpc(status)]
                    Other(Status),
                }

                #[service]
                trait Service {
                    async fn fails(&self) -> Result<(), $letter>;
                }
            };
        )*};
    }

    letters!(A B C D E F G H I J K L M N O P Q R S T U V W X Y Z);
}

/// Names of variables in generated code, as those of the user's arguments and fields.
mod variables {
    use rpc_core::{RpcError, Status, Streaming, message, service};

    // The attributes come from outside of the macro, as the names do. With attributes of its own, all variables in what
    // they write would be the macro's, whom the compiler keeps apart from ours.
    macro_rules! names {
        ([$($message:tt)*] [$($service:tt)*] [$($error:tt)*] $name:ident $($rest:ident)*) => {
            const _: () = {
                $($message)*
                struct One {
                    $name: String,
                }

                $($message)*
                enum Either {
                    Two { $name: String, besides: u32 },
                }

                $($error)*
                enum Fails {
                    #[rpc(code = "aborted")]
                    One { $name: String },
                    #[rpc(status)]
                    Other(Status),
                }

                $($service)*
                trait Service {
                    async fn several(&self, $name: String, besides: u32) -> Result<(), Fails>;
                    async fn streams(&self, $name: Streaming<String>) -> Result<Streaming<String>, Status>;
                }
            };

            names!([$($message)*] [$($service)*] [$($error)*] $($rest)*);
        };
        ([$($message:tt)*] [$($service:tt)*] [$($error:tt)*]) => {};
    }

    names! {
        [#[message]] [#[service]] [#[derive(Debug, RpcError)]]
        arrived buf bytes call channel client codec context deserializer error f field_0 given index inner input it last
        len map message metadata name number out output part parts place place_0 reader request seen self_ serializer
        server service slot_0 status tag target text value way wire
    }
}

fn main() {}
