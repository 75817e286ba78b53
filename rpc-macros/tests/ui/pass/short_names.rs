//! Types of the user's may have names that generated code would use itself.

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

fn main() {}
