//! From `.proto` files to annotated traits.
