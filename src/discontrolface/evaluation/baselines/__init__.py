"""Other methods' designs, trained by us on the portraits that our own networks are trained on, to be measured beside them."""
