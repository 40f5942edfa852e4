"""What reports and dumps hold and how they are spelled: pure functions over values."""
