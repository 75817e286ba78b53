use rpc_core::message;

#[message]
struct Matrix {
    rows: Vec<Vec<f64>>,
    maybe_list: Option<Vec<String>>,
    list_of_maybe: Vec<Option<u32>>,
    maybe_maybe: Option<Option<bool>>,
}

fn main() {}
